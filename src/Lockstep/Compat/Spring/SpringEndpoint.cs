using Lockstep.Access;
using Lockstep.Client;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Compat.Spring;

/// <summary>
/// <c>/spring/…</c>: answers as a Spring Cloud Config Server over the same gate. Which route a path means depends on the number of its segments and the
/// form of the last, so it is taken apart here.
/// </summary>
internal sealed class SpringEndpoint(Gate.Gate gate)
{
    /// <summary>The pattern of all its routes.</summary>
    public const string Pattern = "/spring/{**path}";

    private const string Prefix = "/spring/";

    private readonly EnvironmentAnswers _environments = new(gate);
    private readonly FileAnswers _files = new(gate);
    private readonly CipherAnswers _ciphers = new(gate);

    public Task GetAsync(HttpContext context, CallContext call)
    {
        var segments = SegmentsOf(context);
        if (segments.Any(s => s.Length == 0)) throw Nothing();
        var last = FlatName.Parse(segments[^1]);
        return segments switch
        {
            ["encrypt", "status"] => _ciphers.StatusAsync(context),
            ["key"] or ["key", _, _] => CipherAnswers.KeyAsync(context),
            [_] when last is not null => _environments.FlatAsync(context, call, last, null),
            [var label, _] when last is not null => _environments.FlatAsync(context, call, last, label),
            [var name, var profiles] when !FlatName.HasExtension(profiles) => _environments.EnvironmentAsync(context, call, SpringNames.Query(name, profiles, null), null),
            [var name, var profile, var path] when context.Request.Query.ContainsKey("useDefaultLabel") =>
                _files.FileAsync(context, call, SpringNames.Query(name, profile, null), path),
            [var name, var profiles, var label] => _environments.EnvironmentAsync(context, call, SpringNames.Query(name, profiles, label), SpringNames.Label(label)),
            [var name, var profile, var label, .. var path] => _files.FileAsync(context, call, SpringNames.Query(name, profile, label), string.Join('/', path)),
            _ => throw Nothing(),
        };
    }

    public Task PostAsync(HttpContext context, CallContext call) => SegmentsOf(context) switch
    {
        ["encrypt"] => _ciphers.EncryptAsync(context, call, null),
        ["encrypt", var name, var profiles] => _ciphers.EncryptAsync(context, call, SpringNames.Query(name, profiles, null).Key(null)),
        ["decrypt"] => _ciphers.DecryptAsync(context, call, null),
        ["decrypt", var name, var profiles] => _ciphers.DecryptAsync(context, call, SpringNames.Query(name, profiles, null).Key(null)),
        ["monitor"] => MonitorAsync(context, call),
        _ => throw Nothing(),
    };

    /// <summary>Answers a failure.</summary>
    public Task WriteProblemAsync(HttpContext context, LockstepException error) => SpringAnswers.ProblemAsync(context, error, gate.Time.GetUtcNow());

    private async Task MonitorAsync(HttpContext context, CallContext call)
    {
        // Asked before the body is read, of which little is believed anyhow: a fetch too many finds nothing new.
        await gate.RefreshSoonAsync(call);
        var paths = MonitorPaths.Of(context.Request, await Bodies.TextAsync(context));
        await SpringAnswers.JsonAsync(context, json =>
        {
            json.WriteStartArray();
            foreach (var service in MonitorPaths.Services(paths)) json.WriteStringValue(service);
            json.WriteEndArray();
        });
    }

    // Decoded once, but for %2F.
    private static string[] SegmentsOf(HttpContext context)
    {
        var path = context.Request.Path.Value!;
        return path.Length > Prefix.Length ? path[Prefix.Length..].Split('/') : throw Nothing();
    }

    private static LockstepException Nothing() => new(ErrorCode.NotFound, "No message available");
}
