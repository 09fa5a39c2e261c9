using System.Collections.Immutable;
using Lockstep.Access;

namespace Lockstep.Gate;

/// <summary>Secrets that watchers of one token are about to be sent.</summary>
/// <param name="Calls">The watchers' calls; not empty.</param>
/// <param name="Secrets">The versions in what is sent, as <c>id@version</c>, sorted.</param>
internal sealed record Disclosure(IReadOnlyList<CallContext> Calls, ImmutableArray<string> Secrets);
