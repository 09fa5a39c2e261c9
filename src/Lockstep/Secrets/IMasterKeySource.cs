using Lockstep.Client;

namespace Lockstep.Secrets;

/// <summary>A place that master keys come from.</summary>
internal interface IMasterKeySource : IDisposable
{
    /// <summary>What messages call it.</summary>
    string Name { get; }

    /// <summary>The key of that check value, if the place has it; null when it has none or another.</summary>
    /// <exception cref="LockstepException">The place can't be read.</exception>
    Task<RootKey?> FindAsync(byte[] check, MasterKeyState state, CancellationToken cancellationToken);

    /// <summary>The key that is there; where none is and the place allows it, a new one.</summary>
    Task<NewMasterKey> FirstAsync(MasterKeyState state, CancellationToken cancellationToken);

    /// <summary>A new key beside the present one. It is kept, durably, before this returns.</summary>
    Task<NewMasterKey> NextAsync(MasterKeyState state, CancellationToken cancellationToken);

    /// <summary>The database knows this key alone from now on: the place keeps no other.</summary>
    void Settle(RootKey key);

    /// <summary>Why the place does not have the database's key, and what to do.</summary>
    LockstepException Refusal();
}

/// <summary>A new key, and its encrypted form when the database keeps that.</summary>
internal sealed record NewMasterKey(RootKey Key, string? Sealed = null);
