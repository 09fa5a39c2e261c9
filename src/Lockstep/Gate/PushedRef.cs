namespace Lockstep.Gate;

/// <summary>A ref as somebody wants to move it.</summary>
/// <param name="Name">Its full name.</param>
/// <param name="Old">Where they saw it; null when it was not there.</param>
/// <param name="New">The object it shall name; null to delete it.</param>
internal sealed record PushedRef(string Name, string? Old, string? New);

/// <summary>What the gate says to a push before any ref moves.</summary>
/// <param name="Accepted">Whether the refs may move.</param>
/// <param name="Lines">What to tell the one who pushes; bounded, without control characters.</param>
internal sealed record PushVerdict(bool Accepted, IReadOnlyList<string> Lines);
