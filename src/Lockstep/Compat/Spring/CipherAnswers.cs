using System.Net;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Compat.Spring;

/// <summary><c>/encrypt</c>, <c>/decrypt</c> and <c>/key</c>.</summary>
internal sealed class CipherAnswers(Gate.Gate gate)
{
    private const string NoKey = "No key was installed for encryption service";

    public Task StatusAsync(HttpContext context) =>
        gate.CipherKey is null ? NoKeyAsync(context) : SpringAnswers.CipherStatusAsync(context, 200, "OK", null);

    /// <summary>There is never a public key: the key is symmetric.</summary>
    public static Task KeyAsync(HttpContext context) => NoKeyAsync(context);

    public Task EncryptAsync(HttpContext context, CallContext call, DocumentKey? key) =>
        AnswerAsync(context, async () =>
        {
            var data = Stripped(context, await Bodies.TextAsync(context));
            var text = CipherKey.WithoutPrefixes(data);
            // What names a key goes with the value, as the one who asked wrote it.
            var prefixes = data[..^text.Length].Replace(CipherKey.Prefix, "", StringComparison.Ordinal).Replace("{plain}", "", StringComparison.Ordinal);
            return prefixes + await gate.EncryptAsync(call, key, text);
        });

    public Task DecryptAsync(HttpContext context, CallContext call, DocumentKey? key) =>
        AnswerAsync(context, async () => await gate.DecryptAsync(call, key, Stripped(context, await Bodies.TextAsync(context)).TrimEnd('='), context.RequestAborted));

    private static async Task AnswerAsync(HttpContext context, Func<Task<string>> answer)
    {
        try
        {
            await SpringAnswers.TextAsync(context, await answer());
        }
        catch (LockstepException e) when (e.Code == ErrorCode.NotFound)
        {
            await NoKeyAsync(context);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.BadRequest)
        {
            await SpringAnswers.CipherStatusAsync(context, 400, "INVALID", e.Message);
        }
    }

    private static Task NoKeyAsync(HttpContext context) => SpringAnswers.CipherStatusAsync(context, 404, "NO_KEY", NoKey);

    // What is posted as a form, `curl -d`, may be encoded and end in '=': the text was meant to be a name without a value.
    private static string Stripped(HttpContext context, string data) =>
        data.EndsWith('=') && !Bodies.Is(context.Request, "text/plain") ? WebUtility.UrlDecode(data)[..^1] : data;
}
