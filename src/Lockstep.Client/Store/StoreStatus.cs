namespace Lockstep.Client;

/// <summary>How a <see cref="LockstepStore"/> stands with its server.</summary>
/// <param name="Connected">Whether a server is connected and has confirmed the document.</param>
/// <param name="Since">Since when that is so.</param>
/// <param name="Reason">Why it is not connected, or why the connected server has no up-to-date document; null when all is well.</param>
/// <param name="FromCache">Whether the document comes from the cache file and no server has confirmed it yet.</param>
public sealed record StoreStatus(bool Connected, DateTimeOffset Since, string? Reason, bool FromCache);
