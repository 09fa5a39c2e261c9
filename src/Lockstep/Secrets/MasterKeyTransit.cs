using System.Text;
using Lockstep.Client;

namespace Lockstep.Secrets;

/// <summary>
/// A master key that is made here, and kept in the database as a Vault's Transit engine encrypted it. The encryption is bound to this database by its associated data, where the
/// engine knows such (an older one leaves it out, which takes nothing from the secrecy).
/// </summary>
internal sealed class MasterKeyTransit(VaultTransit vault) : IMasterKeySource
{
    private string? _refused;

    public string Name => vault.Name;

    public async Task<RootKey?> FindAsync(byte[] check, MasterKeyState state, CancellationToken cancellationToken)
    {
        foreach (var ciphertext in new[] { state.Sealed, state.SealedNext })
        {
            if (ciphertext is null) continue;
            var (key, refused) = await vault.DecryptAsync(ciphertext, Binding(state), cancellationToken);
            _refused ??= refused;
            if (key?.Is(check) == true) return key;
            key?.Dispose();
        }
        return null;
    }

    public Task<NewMasterKey> FirstAsync(MasterKeyState state, CancellationToken cancellationToken) => NextAsync(state, cancellationToken);

    public async Task<NewMasterKey> NextAsync(MasterKeyState state, CancellationToken cancellationToken)
    {
        var key = RootKey.New();
        try
        {
            var ciphertext = await vault.EncryptAsync(key, Binding(state), cancellationToken);
            // Before anything hangs on it: a Vault whose policy allows encryption alone, or that is another one each time, would be found at the next start.
            var (again, refused) = await vault.DecryptAsync(ciphertext, Binding(state), cancellationToken);
            using (again)
            {
                if (again?.Is(key.Check) == true) return new NewMasterKey(key, ciphertext);
            }
            throw new LockstepException(ErrorCode.Conflict,
                $"{Name} encrypted a new master key and does not decrypt it again{(refused is null ? "" : $": it answered '{refused}'")}. Nothing was changed; check masterKey.vaultTransit and what stands between");
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

    public void Settle(RootKey key)
    {
    }

    public LockstepException Refusal() => new(ErrorCode.Conflict,
        $"{Name} does not give the master key of this database{(_refused is null ? "; the database has none that is encrypted by a Vault" : $": it answered '{_refused}'")}. Point masterKey.vaultTransit at the Vault and the key that this database was made with, "
        + "or, when the key comes from elsewhere until now, name that place with masterKey.previous; nothing is lost, and nothing was changed");

    public void Dispose() => vault.Dispose();

    private static byte[] Binding(MasterKeyState state) => Encoding.UTF8.GetBytes("lockstep/master-key/" + state.Id);
}
