using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
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

    private CipherKey InstalledKey() => CipherKey ?? throw new LockstepException(ErrorCode.NotFound, "spring.encryptKeyFile is not set");

    // As RequireCipherAsync has it, for each environment of a known document.
    private static bool MayDecrypt(Caller caller, DocumentKey key) =>
        key.Services.All(service => key.Environments.All(environment => caller.Can(Permission.ConfigWrite, Subject.Of(service, environment))));

    private async Task RequireCipherAsync(CallContext call, DocumentKey? key, string action)
    {
        // Only a pattern for every name matches '*'.
        key ??= new DocumentKey("*", "*");
        foreach (var service in key.Services) await RequireAsync(call, Permission.ConfigWrite, key with { Service = service }, action);
    }
}
