using System.Globalization;
using System.IO.Compression;
using System.Text;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config.Git;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.Logging;

namespace Lockstep.Compat.Git;

/// <summary>
/// <c>/git/config.git</c>: the repository over Git's smart HTTP protocol (gitprotocol-http(5)), for clone, fetch and push with the token as the password. Git itself speaks;
/// here stand who may, how much, and what a push is checked for.
/// </summary>
internal sealed class GitEndpoint(Gate.Gate gate, ILogger<GitEndpoint> log)
{
    public const string InfoRefs = "/git/config.git/info/refs";
    public const string UploadPack = "/git/config.git/git-upload-pack";
    public const string ReceivePack = "/git/config.git/git-receive-pack";

    private const int RefListBytes = 8 * 1024 * 1024;

    // Who sends or takes less gives the place to somebody else.
    private static readonly MinDataRate s_pace = new(16 * 1024, TimeSpan.FromSeconds(30));

    private readonly PushHooks _hooks = new(gate.Options.Data);

    /// <summary>Answers which refs there are, to a client that is about to fetch or push.</summary>
    public async Task AdvertiseAsync(HttpContext context, CallContext call)
    {
        var service = context.Request.Query["service"].ToString();
        if (service is not ("git-upload-pack" or "git-receive-pack"))
            throw new LockstepException(ErrorCode.BadRequest, "only Git's smart HTTP protocol is spoken here; use a current git");
        await RequireAsync(call, service);
        // Here already: what is wrong is shown to the one who pushes only before the push itself begins.
        if (service == "git-receive-pack") await _hooks.EnsureAsync(gate.Time, context.RequestAborted);
        using var slot = await TakeSlotAsync(context, call, service);
        var command = Command(service, ["--http-backend-info-refs"], service == "git-upload-pack" ? ProtocolOf(context.Request) : null);
        Prepare(context.Response, $"application/x-{service}-advertisement");
        // gitprotocol-http(5): protocol 2 begins without the line that names the service.
        if (!command.Environment!.ContainsKey("GIT_PROTOCOL"))
            await context.Response.Body.WriteAsync(Encoding.ASCII.GetBytes(Packet($"# service={service}\n") + "0000"), context.RequestAborted);
        await RunAsync(context, command, Stream.Null);
    }

    /// <summary>Gives a client what it asks for.</summary>
    public Task FetchAsync(HttpContext context, CallContext call) => AnswerAsync(context, call, "git-upload-pack");

    /// <summary>Takes what a client brings, if it is sound; when the answer ends, it is live.</summary>
    public Task PushAsync(HttpContext context, CallContext call) => AnswerAsync(context, call, "git-receive-pack");

    private async Task AnswerAsync(HttpContext context, CallContext call, string service)
    {
        if (context.Request.ContentType != $"application/x-{service}-request")
            throw new LockstepException(ErrorCode.BadRequest, $"the body must be of the type application/x-{service}-request");
        await RequireAsync(call, service);
        using var slot = await TakeSlotAsync(context, call, service);
        var limits = gate.Repository.Limits;
        context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>().MaxRequestBodySize = null;
        var body = BodyOf(context.Request);
        if (service == "git-upload-pack")
        {
            Prepare(context.Response, $"application/x-{service}-result");
            await RunAsync(context, Command(service, [], ProtocolOf(context.Request)), LimitedStream.To(body, limits.AskBytes));
            return;
        }
        await _hooks.EnsureAsync(gate.Time, context.RequestAborted);
        using var socket = _hooks.NewSocket();
        await using var session = new PushSession(gate, call, socket.Path, log);
        Prepare(context.Response, $"application/x-{service}-result");
        var command = Command(service, [], null) with
        {
            Config =
            [
                .. s_serving,
                ("core.hooksPath", _hooks.Path),
                ("receive.fsckObjects", "true"),
                ("receive.maxInputSize", limits.PushBytes.ToString(CultureInfo.InvariantCulture)),
                ("receive.autogc", "false"),
                ("receive.denyDeletes", "false"),
                ("receive.denyNonFastForwards", "false"),
                ("receive.denyDeleteCurrent", "ignore"),
                ("receive.advertisePushOptions", "false"),
            ],
            Environment = new Dictionary<string, string>(StringComparer.Ordinal)
            {
                [GitHook.SocketVariable] = session.Path,
                [GitProcess.AllocationLimit.Key] = GitProcess.AllocationLimit.Value,
            },
        };
        // Git counts itself what a push brings, and tells the client: it is to see that it is too much.
        var count = new PushBody(RefListBytes, limits.PushBytes + RefListBytes);
        await using var answer = new PushAnswer(context.Response.Body);
        await RunAsync(context, command, new LimitedStream(body, count.Add), answer, session.StopAsync);
        await answer.EndAsync(context.RequestAborted);
    }

    private Task<IDisposable> TakeSlotAsync(HttpContext context, CallContext call, string service)
    {
        if (context.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } request) request.MinDataRate = s_pace;
        if (context.Features.Get<IHttpMinResponseDataRateFeature>() is { } response) response.MinDataRate = s_pace;
        return (service == "git-upload-pack" ? gate.Repository.Fetches : gate.Repository.Pushes).TakeAsync(call.Caller.Root, context.RequestAborted);
    }

    // The refs that keep commits of releases are nobody's business. The directory is the operator's own, whoever it belongs to on the disk.
    private static readonly (string Key, string Value)[] s_serving = [("transfer.hideRefs", "refs/lockstep"), ("safe.directory", "*"), ("uploadpack.allowFilter", "true")];

    private GitCommand Command(string service, string[] options, string? protocol) => new([service["git-".Length..], "--stateless-rpc", .. options, gate.Repository.Directory])
    {
        Config = s_serving,
        Environment = protocol is null
            ? new Dictionary<string, string>(StringComparer.Ordinal)
            : new Dictionary<string, string>(StringComparer.Ordinal) { ["GIT_PROTOCOL"] = protocol },
    };

    private ValueTask RequireAsync(CallContext call, string service) => service == "git-upload-pack" ? gate.RequireCloneAsync(call) : gate.RequirePushAsync(call);

    private async Task RunAsync(HttpContext context, GitCommand command, Stream input, Stream? output = null, Func<Task>? ending = null)
    {
        var run = new GitRun(gate.Repository.Start(command), gate.Repository.Limits.Serve, gate.Time) { Ending = ending };
        var failure = await run.ServeAsync(input, output ?? context.Response.Body, context.RequestAborted);
        if (failure is not null) log.GitWarning($"git {command.Arguments[0]}: {failure}");
    }

    private static Stream BodyOf(HttpRequest request) => request.Headers.ContentEncoding.ToString() switch
    {
        "" or "identity" => request.Body,
        "gzip" or "x-gzip" => new GZipStream(request.Body, CompressionMode.Decompress),
        _ => throw new LockstepException(ErrorCode.BadRequest, "the body may be compressed with gzip, and with nothing else"),
    };

    // Of all versions only 2 makes a difference to what is served.
    private static string? ProtocolOf(HttpRequest request) => request.Headers["Git-Protocol"].ToString().Split(':').Contains("version=2", StringComparer.Ordinal) ? "version=2" : null;

    private static void Prepare(HttpResponse response, string type)
    {
        response.ContentType = type;
        response.Headers.CacheControl = "no-cache, max-age=0, must-revalidate";
    }

    private static string Packet(string text) => string.Create(CultureInfo.InvariantCulture, $"{text.Length + 4:x4}{text}");

    /// <summary>Writes a failure: git shows it, when it is plain text, to the one who runs it.</summary>
    public static Task WriteProblemAsync(HttpContext context, LockstepException error)
    {
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(error.Message + "\n", context.RequestAborted);
    }
}
