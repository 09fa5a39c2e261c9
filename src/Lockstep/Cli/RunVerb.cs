using System.CommandLine;
using Lockstep.Agent;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep run</c>.</summary>
internal sealed class RunVerb
{
    private readonly Option<string?> _service;
    private readonly Option<string?> _environment;
    private readonly Option<string?> _label = new("--label") { Description = "A Git branch, tag or commit", HelpName = "LABEL" };
    private readonly Option<long?> _release = new("--release") { Description = "The state at a release of the past; it does not change", HelpName = "N" };
    private readonly Option<string?> _watch = new("--watch") { Description = "When the config changes: none (default), restart, or signal=NAME", HelpName = "WHAT" };
    private readonly Option<string?> _ready = new("--ready") { Description = "A new process is ready when this URL answers 2xx, or tcp:[HOST:]PORT takes a connection", HelpName = "CHECK" };
    private readonly Option<string?> _readyTimeout = new("--ready-timeout") { Description = "How long it may take to become ready (30s)", HelpName = "TIME" };
    private readonly Option<string?> _stopTimeout = new("--stop-timeout") { Description = "The time between SIGTERM and SIGKILL (10s)", HelpName = "TIME" };
    private readonly Option<string[]?> _listen = new("--listen") { Description = "Listen on HOST:PORT or :PORT and hand the socket over, also across restarts (LISTEN_FDS)", HelpName = "ADDR" };
    private readonly Option<string?> _onKill = new("--on-kill") { Description = "When the token is no longer valid: stop (default), signal=NAME or none", HelpName = "WHAT" };
    private readonly Option<string?> _fallback = new("--fallback") { Description = "Keep the config here, encrypted, and start with it when no server answers", HelpName = "FILE" };
    private readonly Option<string?> _fallbackMaxAge = new("--fallback-max-age") { Description = "How old it may be (24h)", HelpName = "TIME" };
    private readonly Option<bool> _onlySecrets = new("--only-secrets") { Description = "Only the keys that derive from a secret" };
    private readonly Option<string?> _mount = new("--mount") { Description = "The values as files here, on a tmpfs that only the command sees, not as variables", HelpName = "DIR" };
    private readonly Option<bool> _noMasking = new("--no-masking") { Description = "Leave secrets in the command's output as they are" };
    private readonly Option<bool> _keepToken = new("--keep-token") { Description = "Leave LOCKSTEP_TOKEN and LOCKSTEP_TOKEN_FILE in the command's environment" };
    private readonly Argument<string[]> _command = new("COMMAND") { Description = "The command and its arguments, after --", Arity = ArgumentArity.OneOrMore };

    private RunVerb(Command verb)
    {
        (_service, _environment) = GlobalOptions.AddDocument(verb);
        foreach (var option in new Option[]
        {
            _label, _release, _watch, _ready, _readyTimeout, _stopTimeout, _listen, _onKill, _fallback, _fallbackMaxAge, _onlySecrets, _mount, _noMasking, _keepToken,
        })
            verb.Add(option);
        verb.Add(_command);
    }

    public static Command Build(GlobalOptions globals)
    {
        var verb = new Verb("run", "Run a command with a service's config and secrets in its environment",
            "lockstep run -s payments -e production -- ./server --port 8080",
            "lockstep run --watch restart --listen :8080 --ready http://127.0.0.1:8080/ready -- ./server",
            "lockstep run --watch signal=HUP --mount /run/payments -- nginx -g 'daemon off;'",
            "LOCKSTEP_SERVICE=payments LOCKSTEP_ENVIRONMENT=dev lockstep run -- env")
        {
            Details = """
                lockstep run [-s SERVICE] [-e ENVIRONMENT] [options] -- COMMAND [ARGUMENTS…]

                The key db.password becomes DB_PASSWORD. Lockstep's values win over inherited ones; LOCKSTEP_TOKEN
                and LOCKSTEP_TOKEN_FILE are removed. Two keys that give one name, or a name that changes how programs
                load (PATH, LD_PRELOAD …), are an error before the start. Signals are passed on.

                --watch restart: the old process gets SIGTERM, then the new one starts. With --ready or --listen the
                new one starts first, and the old one goes when it is ready; if it is not, it is stopped and the old
                one stays. Two processes can't open one port: what they serve, and what --ready asks, must be a port
                of --listen or differ from process to process.
                --watch signal=NAME: a process's variables can't be changed from outside; the files of --mount are.

                Secrets of 6 characters and more in the command's output become ***, unless it goes to a terminal.
                The server being away stops nothing. A token that is rolled or revoked does (--on-kill).

                The exit status is the command's own; 126: it can't be executed, 127: it is not found, 128+n: signal
                n ended it. 4: the token was no longer valid, 7: it was not ready in time, and it was stopped.
                """,
        };
        var run = new RunVerb(verb);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var request = run.Request(session);
            return await Runner.RunAsync(session.Settings.ClientOptions(withToken: true), request, session.Output.Remark, cancellationToken);
        });
        return verb;
    }

    private RunRequest Request(Session session)
    {
        var options = new RunOptions
        {
            Watch = session.Get(_watch) is { } watch ? Reaction.Parse(watch, "restart", Reaction.Restart, "--watch") : Reaction.None,
            OnKill = session.Get(_onKill) is { } kill ? Reaction.Parse(kill, "stop", Reaction.Stop, "--on-kill") : Reaction.Stop,
            Ready = session.Get(_ready) is { } ready ? ReadyCheck.Parse(ready) : null,
            ReadyTimeout = Wait(session, _readyTimeout, TimeSpan.FromSeconds(30)),
            StopTimeout = Wait(session, _stopTimeout, TimeSpan.FromSeconds(10)),
            Listen = session.Get(_listen) is { Length: > 0 } listen ? ListenSockets.Parse(listen) : [],
            Fallback = session.Get(_fallback),
            FallbackMaxAge = Duration(session, _fallbackMaxAge, TimeSpan.FromHours(24)),
            OnlySecrets = session.Get(_onlySecrets),
            Mount = session.Get(_mount) is { } mount ? Path.GetFullPath(mount) : null,
            Mask = !session.Get(_noMasking),
            KeepToken = session.Get(_keepToken),
        };
        var query = new ConfigQuery { Label = session.Get(_label), Release = session.Get(_release) };
        Check(options, query);
        return new(session.Service(_service), session.Environment(_environment), session.Get(_command)!) { Options = options, Query = query };
    }

    private static void Check(RunOptions options, ConfigQuery query)
    {
        if (query.Release is not null && options.Watch.Kind != ReactionKind.None)
            throw Wrong("--release is the state of the past, which does not change: leave --watch away");
        if (query.Release is not null && options.Fallback is not null)
            throw Wrong("--fallback keeps the newest config: it does not go with --release");
        if (OperatingSystem.IsWindows() && (options.Listen.Count > 0 || options.Mount is not null || options.Watch.Kind == ReactionKind.Signal || options.OnKill.Kind == ReactionKind.Signal))
            throw Wrong("--listen, --mount and signals are not to be had on Windows");
        if (options.Mount is null) return;
        if (!OperatingSystem.IsLinux()) throw Wrong("--mount is to be had on Linux only");
        if (!Directory.Exists(options.Mount)) throw Wrong($"--mount {options.Mount}: the directory does not exist: make it first (it stays empty for everybody else)");
    }

    private static TimeSpan Duration(Session session, Option<string?> option, TimeSpan otherwise)
    {
        if (session.Get(option) is not { } text) return otherwise;
        return Durations.TryParse(text, out var duration) && duration > TimeSpan.Zero ? duration : throw Wrong($"{option.Name} is a duration such as 500ms, 30s or 15m");
    }

    /// <summary>A timer takes no more than 49 days.</summary>
    private static TimeSpan Wait(Session session, Option<string?> option, TimeSpan otherwise) =>
        Duration(session, option, otherwise) is var duration && duration <= TimeSpan.FromHours(24) ? duration : throw Wrong($"{option.Name} is at most 24h");

    private static LockstepException Wrong(string detail) => new(ErrorCode.BadRequest, detail);
}
