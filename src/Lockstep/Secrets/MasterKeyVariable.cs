using System.Text;
using Lockstep.Client;

namespace Lockstep.Secrets;

/// <summary>A master key in an environment variable. Read once and taken out of the environment, so that no child process inherits it.</summary>
internal sealed class MasterKeyVariable(string name) : IMasterKeySource
{
    private RootKey? _key;

    public string Name => $"the environment variable {name}";

    public Task<RootKey?> FindAsync(byte[] check, MasterKeyState state, CancellationToken cancellationToken) =>
        Task.FromResult(Read().Is(check) ? Read().Copy() : null);

    public Task<NewMasterKey> FirstAsync(MasterKeyState state, CancellationToken cancellationToken) => Task.FromResult(new NewMasterKey(Read().Copy()));

    public Task<NewMasterKey> NextAsync(MasterKeyState state, CancellationToken cancellationToken) => throw new LockstepException(ErrorCode.Conflict,
        $"the master key comes from {Name}, which the server can't change. Put a new key (openssl rand -base64 32) into another variable or a file, point masterKey at it, "
        + $"add masterKey.previous: {{ env: {name} }}, and restart the server: it re-wraps everything by itself");

    public void Settle(RootKey key)
    {
    }

    public LockstepException Refusal() => new(ErrorCode.Conflict,
        $"the master key from {Name} is not the one this database was made with. Put the right key there, or point the setting masterKey at it; nothing is lost, and nothing was changed");

    public void Dispose() => _key?.Dispose();

    private RootKey Read()
    {
        if (_key is not null) return _key;
        var text = Environment.GetEnvironmentVariable(name);
        if (string.IsNullOrEmpty(text))
            throw new LockstepException(ErrorCode.Conflict, $"{Name}, which the setting masterKey names, is not set. Set it to the master key: 32 bytes in base64");
        _key = RootKey.Parse(Encoding.UTF8.GetBytes(text))
            ?? throw new LockstepException(ErrorCode.Conflict, $"{Name} is not a master key: it must be 32 bytes in base64 (openssl rand -base64 32)");
        Environment.SetEnvironmentVariable(name, null);
        return _key;
    }
}
