using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>What a supervisor tells about documents: that the process runs on one, or that one was refused and why.</summary>
internal sealed record RunReports(Action<Snapshot> Applied, Action<Snapshot, string> Failed);
