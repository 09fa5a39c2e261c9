namespace Lockstep.Client;

/// <summary>A change of a <see cref="LockstepStore"/>'s document.</summary>
/// <param name="Old">The document before.</param>
/// <param name="New">The document now.</param>
/// <param name="Keys">The keys that were added, removed, have another value, or became or ceased to be secret or withheld; sorted.</param>
public sealed record StoreChange(Snapshot Old, Snapshot New, IReadOnlyList<string> Keys);
