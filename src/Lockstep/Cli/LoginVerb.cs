using System.ComponentModel;
using System.CommandLine;
using System.Diagnostics;
using Lockstep.Client;
using Lockstep.Server;

namespace Lockstep.Cli;

/// <summary><c>lockstep login</c> and <c>lockstep logout</c>.</summary>
internal static class LoginVerb
{
    public static Command BuildLogin(GlobalOptions globals)
    {
        var verb = new Verb("login", "Log in with a browser; the token is kept for this server until it ends",
            "lockstep login --addr https://lockstep.example.com",
            "lockstep login --no-browser",
            "lockstep login --issuer https://login.example.com --client-id lockstep-cli")
        {
            Details = """
                The token is kept in a file that only you can read, below $XDG_CONFIG_HOME/lockstep, and sent to that server alone. It is used when no
                other token is given: --token-file, LOCKSTEP_TOKEN, LOCKSTEP_TOKEN_FILE and .lockstep/token come first. When it ends, log in again.
                """,
        };
        var issuer = new Option<string?>("--issuer") { Description = "Where to log in [what the server says]", HelpName = "URL" };
        var client = new Option<string?>("--client-id") { Description = "The issuer's name for this program [what the server says]", HelpName = "ID" };
        var noBrowser = new Option<bool>("--no-browser") { Description = "Only print the address to open" };
        verb.Add(issuer);
        verb.Add(client);
        verb.Add(noBrowser);
        var yes = Confirmation.AddYes(verb);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            // A directory must not decide where the token of a person goes.
            if (session.Settings.AddressFound is { Origin: var origin, Value: var server } && session.Settings.Project?.Path == origin)
                Confirmation.Ask(session, yes, $"{origin} names the server {server}, which the token will be sent to. Log in there?");
            else session.Output.Remark($"logging in for the server {session.Settings.AddressFound.Value} ({session.Settings.AddressFound.Origin})");
            var chosen = await ChooseAsync(session, session.Get(issuer), session.Get(client), cancellationToken);
            using var loggers = Logging.Plain();
            using var flow = new LoginFlow(chosen, TimeProvider.System, loggers);
            var token = await flow.RunAsync(url => Show(session, url, !session.Get(noBrowser)), cancellationToken);
            var address = session.Settings.AddressFound.Value;
            var file = LoginFile.Write(address, token.Token);
            session.Output.Result(new LoginResult(address, chosen.Issuer, token.Subject, token.EndsAt, file), CliJson.Default.LoginResult, text =>
            {
                text.WriteLine(Output.Printable($"logged in at {chosen.Issuer} as {token.Subject} until {Output.Time(token.EndsAt)}"));
                if (session.Settings.Token is { EndsAt: null } other) session.Output.Remark($"the token from {other.Origin} comes before this login");
            });
        });
        return verb;
    }

    public static Command BuildLogout(GlobalOptions globals)
    {
        var verb = new Verb("logout", "Forget the token that `lockstep login` kept for this server", "lockstep logout")
        {
            Details = """
                The token itself is valid until it ends, for whoever has a copy of it.
                """,
        };
        globals.Action(verb, (session, _) =>
        {
            var address = session.Settings.AddressFound.Value;
            if (!LoginFile.Remove(address)) session.Output.Remark($"nobody is logged in to {address}");
            return Task.CompletedTask;
        });
        return verb;
    }

    private static async Task<LoginIssuer> ChooseAsync(Session session, string? issuer, string? client, CancellationToken cancellationToken)
    {
        var options = session.Settings.ClientOptions(withToken: false);
        if (issuer is null && client is not null) throw new LockstepException(ErrorCode.BadRequest, "--client-id is a name at an issuer: say --issuer URL too");
        if (issuer is not null && LoginFlow.SafeUrl(issuer) is null) throw new LockstepException(ErrorCode.BadRequest, $"'{issuer}' is not an https: URL");
        if (issuer is not null && client is not null) return new LoginIssuer { Issuer = issuer, ClientId = client, Scopes = ["openid"] };
        // As if there were a token already: who can be lied to about the server would be led to log in anywhere.
        using var server = new LockstepClient(options with { Token = _ => new((string?)null) });
        var offered = (await server.GetLoginAsync(cancellationToken)).Items;
        var fitting = issuer is null ? offered : [.. offered.Where(o => o.Issuer == issuer)];
        if (fitting.Count == 0)
        {
            throw new LockstepException(ErrorCode.NotFound, issuer is null
                ? $"{server.Address} knows no issuer to log in at: it needs login: {{ clientId }} in access.issuers, or say --issuer URL --client-id ID"
                : $"{server.Address} does not know the issuer {issuer}: say --client-id ID too, if that is where to log in");
        }
        if (fitting.Count > 1) throw new LockstepException(ErrorCode.BadRequest, $"which one? Say --issuer URL: {string.Join(", ", fitting.Select(o => o.Issuer))}");
        return LoginFlow.SafeUrl(fitting[0].Issuer) is not null && fitting[0].Scopes is not null
            ? fitting[0]
            : throw new LockstepException(ErrorCode.Unavailable, $"{server.Address} names an issuer that is not an https: URL");
    }

    private static void Show(Session session, Uri url, bool open)
    {
        session.Output.Remark(open && TryOpen(url) ? "log in with the browser that was opened, or open this address in another on this machine:" : "open this address in a browser on this machine:");
        session.Output.Remark(url.AbsoluteUri);
    }

    private static bool TryOpen(Uri url)
    {
        var isDesktop = !OperatingSystem.IsLinux() || Environment.GetEnvironmentVariable("DISPLAY") is { Length: > 0 } || Environment.GetEnvironmentVariable("WAYLAND_DISPLAY") is { Length: > 0 };
        if (!isDesktop) return false;
        try
        {
            var start = OperatingSystem.IsWindows() ? new ProcessStartInfo(url.AbsoluteUri) { UseShellExecute = true }
                : new ProcessStartInfo(OperatingSystem.IsMacOS() ? "open" : "xdg-open", [url.AbsoluteUri]) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
            using var process = Process.Start(start);
            return true;
        }
        catch (Win32Exception)
        {
            return false;
        }
    }
}

/// <summary>Who is logged in where, until when, and where the token is kept.</summary>
internal sealed record LoginResult(string Address, string Issuer, string Subject, DateTimeOffset ExpiresAt, string File);
