using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    private int _refreshWanted;
    private int _refreshRuns;

    /// <summary>The text of a <c>{cipher}</c> value for a plain one. One key serves all services; see <see cref="DecryptAsync"/> for who may.</summary>
    /// <exception cref="LockstepException">not-found without a key.</exception>
    public async Task<string> EncryptAsync(CallContext call, DocumentKey? key, string text)
    {
        await RequireCipherAsync(call, key, "config.encrypt");
        return InstalledKey().Encrypt(text);
    }

    /// <summary>
    /// What a <c>{cipher}</c> value says, on the record. For those who may write the service's config, as they could commit the value and read it: without a
    /// <paramref name="key"/>, for those who may write all of it.
    /// </summary>
    /// <exception cref="LockstepException">not-found without a key; bad-request when the text was not encrypted with it, without saying in what it differs.</exception>
    public async Task<string> DecryptAsync(CallContext call, DocumentKey? key, string text, CancellationToken cancellationToken)
    {
        await RequireCipherAsync(call, key, "config.decrypt");
        var decrypted = InstalledKey().Decrypt(text) ?? throw new LockstepException(ErrorCode.BadRequest, "Text not encrypted with this key");
        await RecordDisclosureAsync(call, Entry(call, "config.decrypt", key?.ToString()), cancellationToken);
        return decrypted;
    }

    /// <summary>Fetches Git in the background, after this call began. However many call, one fetch runs and one more follows it.</summary>
    public async Task RefreshSoonAsync(CallContext call, Action<Exception> failed)
    {
        await RequireAsync(call, Permission.ConfigWrite, Subject.Nothing, "config.refresh");
        Interlocked.Exchange(ref _refreshWanted, 1);
        _ = Task.Run(() => RefreshWantedAsync(call, failed));
    }

    private async Task RefreshWantedAsync(CallContext call, Action<Exception> failed)
    {
        // Whoever sees the wish after the one at work has looked for the last time takes over from it.
        while (Volatile.Read(ref _refreshWanted) == 1 && Interlocked.Exchange(ref _refreshRuns, 1) == 0)
        {
            try
            {
                while (Interlocked.Exchange(ref _refreshWanted, 0) == 1)
                {
                    await Refresh.FetchAsync(CancellationToken.None);
                    await FollowAsync(call, CancellationToken.None);
                }
            }
            catch (Exception e)
            {
                failed(e);
            }
            finally
            {
                Volatile.Write(ref _refreshRuns, 0);
            }
        }
    }

    private CipherKey InstalledKey() => CipherKey ?? throw new LockstepException(ErrorCode.NotFound, "No key was installed for encryption service");

    private async Task RequireCipherAsync(CallContext call, DocumentKey? key, string action)
    {
        // Only a pattern for every name matches '*'.
        key ??= new DocumentKey("*", "*");
        foreach (var service in key.Services) await RequireAsync(call, Permission.ConfigWrite, key with { Service = service }, action);
    }
}
