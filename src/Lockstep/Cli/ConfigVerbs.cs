using System.CommandLine;
using System.Text.Json;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep config …</c>.</summary>
internal static class ConfigVerbs
{
    public static Command Build(GlobalOptions globals)
    {
        var group = new Command("config", "Read a service's config, its history, and roll it back")
        {
            Get(globals), History(globals), Diff(globals), PlanVerb.Build(globals), ValidateVerb.Build(globals), Rollback(globals), Unpin(globals),
        };
        return group;
    }

    private static Verb Get(GlobalOptions globals)
    {
        var verb = new Verb("get", "Show the config of a service in an environment, or the value of one key",
            "lockstep config get -s payments -e production",
            "lockstep config get db.host -s payments -e production",
            "lockstep config get -s payments -e production --release 41 --format dotenv");
        var key = new Argument<string?>("KEY") { Description = "Print the value of this key only", Arity = ArgumentArity.ZeroOrOne };
        var (service, environment) = GlobalOptions.AddDocument(verb);
        var label = Label("A Git branch, tag or commit");
        var release = new Option<long?>("--release") { Description = "The state at a release of the past", HelpName = "N" };
        var format = new Option<string?>("--format") { Description = "Print the document as the server writes it in this format", HelpName = "FORMAT" };
        format.AcceptOnlyFromAmong("json", "nested", "dotenv", "yaml", "properties");
        verb.Add(key);
        verb.Add(label);
        verb.Add(release);
        verb.Add(format);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var (name, env) = (session.Service(service), session.Environment(environment));
            var query = new ConfigQuery { Label = session.Get(label), Release = session.Get(release) };
            if (session.Get(format) is { } asked)
            {
                if (session.Json || session.Get(key) is not null) throw new LockstepException(ErrorCode.BadRequest, "--format goes without --json and without a key");
                var text = await session.Client.GetConfigTextAsync(name, env, asked, query, cancellationToken);
                await session.Output.Text.WriteAsync(text.EndsWith('\n') ? text : text + "\n");
                return;
            }
            var snapshot = (await session.Client.GetConfigAsync(name, env, query, cancellationToken)).Snapshot!;
            if (session.Get(key) is { } one) PrintKey(session, snapshot, one);
            else session.Output.Result(snapshot, LockstepJson.Default.Snapshot, text => Print(session, snapshot, text));
        });
        return verb;
    }

    private static void Print(Session session, Snapshot snapshot, TextWriter text)
    {
        Remarks(session, snapshot);
        Output.Table(text, ["KEY", "VALUE"], snapshot.Values.Select(v => new[] { v.Key, TextOf(v.Value) }));
    }

    private static void PrintKey(Session session, Snapshot snapshot, string key)
    {
        Remarks(session, snapshot);
        if (snapshot.Withheld.Contains(key, StringComparer.Ordinal))
            throw new LockstepException(ErrorCode.Forbidden, $"{key} is withheld: this token may not see a secret it derives from (secret:reveal)");
        if (!snapshot.Values.TryGetValue(key, out var value))
            throw new LockstepException(ErrorCode.NotFound, $"{snapshot.Service}/{snapshot.Environment} has no key '{key}'");
        session.Output.Text.WriteLine(session.Json ? Output.ToJson(value, CliJson.Default.JsonElement) : TextOf(value));
    }

    private static void Remarks(Session session, Snapshot snapshot)
    {
        if (session.Json) return;
        if (snapshot.Stale is { } stale) session.Output.Remark($"not up to date since {Output.Time(stale.Since)}: {stale.Reason}");
        if (snapshot.Pinned is { } pinned) session.Output.Remark(Text($"pinned to release {pinned}"));
        if (snapshot.Withheld.Count > 0) session.Output.Remark("withheld from this token: " + string.Join(", ", snapshot.Withheld));
    }

    private static Verb History(GlobalOptions globals)
    {
        var verb = new Verb("history", "List the releases that changed a service's config, newest first",
            "lockstep config history -s payments -e production --limit 5");
        var (service, environment) = GlobalOptions.AddDocument(verb);
        var label = Label("A Git branch or tag");
        verb.Add(label);
        var paging = Paging.AddBefore(verb);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var page = await session.Client.GetHistoryAsync(session.Service(service), session.Environment(environment), session.Get(paging.From), session.Get(paging.Limit), session.Get(label), cancellationToken);
            ReleaseVerbs.PrintHistory(session, page);
        });
        return verb;
    }

    private static Verb Diff(GlobalOptions globals)
    {
        var verb = new Verb("diff", "Show which keys differ between two releases. Of secrets only the version numbers are shown",
            "lockstep config diff 41 42 -s payments -e production",
            "lockstep config diff 41 -s payments -e production");
        var from = new Argument<long>("FROM") { Description = "The older release" };
        var to = new Argument<long?>("TO") { Description = "The newer release; default: the newest", Arity = ArgumentArity.ZeroOrOne };
        var (service, environment) = GlobalOptions.AddDocument(verb);
        var label = Label("A Git branch or tag");
        verb.Add(from);
        verb.Add(to);
        verb.Add(label);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var (name, env) = (session.Service(service), session.Environment(environment));
            var diff = await session.Client.GetDiffAsync(name, env, session.Get(from), session.Get(to), session.Get(label), cancellationToken);
            session.Output.Result(diff, LockstepJson.Default.ConfigDiff, text =>
            {
                foreach (var key in diff.Added) text.WriteLine("+ " + Output.Printable(key));
                foreach (var key in diff.Removed) text.WriteLine("- " + Output.Printable(key));
                foreach (var change in diff.Changed) text.WriteLine(Output.Printable($"~ {change.Key}: {TextOf(change.From)} -> {TextOf(change.To)}"));
            });
        });
        return verb;
    }

    private static Verb Rollback(GlobalOptions globals)
    {
        var verb = new Verb("rollback", "Pin a service's config, secrets included, to an older release",
            "lockstep config rollback 41 -s payments -e production --yes")
        {
            Details = """
                `config unpin` lets it follow the branch again.
                """,
        };
        var to = new Argument<long>("RELEASE") { Description = "The release to go back to; `config history` lists them" };
        var (service, environment) = GlobalOptions.AddDocument(verb);
        var yes = Confirmation.AddYes(verb);
        verb.Add(to);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var (name, env, target) = (session.Service(service), session.Environment(environment), session.Get(to));
            Confirmation.Ask(session, yes, Text($"Pin {name}/{env} to release {target}?"));
            var release = await session.Client.RollbackAsync(name, env, target, cancellationToken);
            session.Output.Result(release, LockstepJson.Default.RefreshResult, text => text.WriteLine(Text($"{name}/{env} is as at release {target} (release {release.Release})")));
        });
        return verb;
    }

    private static Verb Unpin(GlobalOptions globals)
    {
        var verb = new Verb("unpin", "Let a pinned config follow the branch again", "lockstep config unpin -s payments -e production --yes");
        var (service, environment) = GlobalOptions.AddDocument(verb);
        var force = SecretVerbs.Force();
        var yes = Confirmation.AddYes(verb);
        verb.Add(force);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var (name, env) = (session.Service(service), session.Environment(environment));
            Confirmation.Ask(session, yes, $"Let {name}/{env} follow the branch again?");
            var release = await session.Client.UnpinAsync(name, env, session.Get(force), cancellationToken);
            session.Output.Result(release, LockstepJson.Default.RefreshResult, text => text.WriteLine(Text($"{name}/{env} follows the branch (release {release.Release})")));
        });
        return verb;
    }

    private static Option<string?> Label(string description) => new("--label") { Description = description, HelpName = "LABEL" };

    private static string TextOf(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();

    private static string Text(FormattableString text) => FormattableString.Invariant(text);
}
