using System.CommandLine;
using Lockstep.Agent;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep fleet</c> and <c>lockstep wait</c>.</summary>
internal static class FleetVerbs
{
    // How many instances a message names.
    private const int MaxNamed = 5;

    private static readonly TimeSpan s_between = TimeSpan.FromMilliseconds(250);

    public static Command BuildFleet(GlobalOptions globals)
    {
        var verb = new Verb("fleet", "List the live instances of a service and what they run on", "lockstep fleet -s payments -e production")
        {
            Details = """
                An instance is live while it holds a watch connection (lockstep run, the client libraries). CURRENT says
                whether it runs on the document as it is now; a reason is shown where it refused it.
                """,
        };
        var (service, environment) = GlobalOptions.AddDocument(verb);
        var label = Label(verb);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var page = await session.Client.GetFleetAsync(session.Service(service), session.Environment(environment), session.Get(label), cancellationToken);
            session.Output.Result(page, LockstepJson.Default.FleetPage, text => Output.Table(text,
                ["INSTANCE", "TOKEN", "ADDRESS", "CONNECTED", "RELEASE", "SINCE", "CURRENT", "REASON"],
                page.Items.Select(i => new[]
                {
                    i.Instance, i.Token, i.Address, Output.Time(i.Connected), i.Release?.ToString(System.Globalization.CultureInfo.InvariantCulture),
                    Output.Time(i.Since), i.Current ? "yes" : "no", i.Reason,
                })));
        });
        return verb;
    }

    public static Command BuildWait(GlobalOptions globals)
    {
        var verb = new Verb("wait", "Wait until every live instance of a service runs on the document as it is now",
            "lockstep wait --converged -s payments -e production --timeout 60s",
            "lockstep wait --converged -s payments -e production --instances 3")
        {
            Details = """
                Exit status 0: all of them do; 7: the time is over, and those that do not are named.
                """,
        };
        var (service, environment) = GlobalOptions.AddDocument(verb);
        var label = Label(verb);
        var converged = new Option<bool>("--converged") { Description = "Wait for the instances", Required = true };
        var timeout = new Option<string>("--timeout") { Description = "How long, such as 60s or 5m", HelpName = "DURATION", DefaultValueFactory = _ => "60s" };
        var instances = new Option<int>("--instances") { Description = "Wait for at least so many", HelpName = "N", DefaultValueFactory = _ => 1 };
        verb.Add(converged);
        verb.Add(timeout);
        verb.Add(instances);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            if (!Durations.TryParse(session.Get(timeout)!, out var limit)) throw new LockstepException(ErrorCode.BadRequest, "--timeout is a duration such as 60s or 5m");
            if (!session.Get(converged) || session.Get(instances) < 0) throw new LockstepException(ErrorCode.BadRequest, "--converged has no value, and --instances is a number from 0");
            var (name, place) = (session.Service(service), session.Environment(environment));
            var started = TimeProvider.System.GetTimestamp();
            while (true)
            {
                var isOver = TimeProvider.System.GetElapsedTime(started) >= limit;
                try
                {
                    var page = await session.Client.GetFleetAsync(name, place, session.Get(label), cancellationToken);
                    var behind = page.Items.Where(i => !i.Current).ToList();
                    if (isOver || (behind.Count == 0 && page.Items.Count >= session.Get(instances)))
                        return Report(session, page, behind, $"{name}/{place}", limit, session.Get(instances));
                }
                catch (LockstepException e) when (e.Code == ErrorCode.Unavailable && !isOver)
                {
                    // A server that is away for a moment, as in a rollout of its own, is waited for too.
                }
                await Task.Delay(s_between, TimeProvider.System, cancellationToken);
            }
        });
        return verb;
    }

    private static int Report(Session session, FleetPage page, List<FleetInstance> behind, string document, TimeSpan limit, int wanted)
    {
        var done = behind.Count == 0 && page.Items.Count >= wanted;
        session.Output.Result(page, LockstepJson.Default.FleetPage, text =>
        {
            if (done) text.WriteLine($"{page.Items.Count} {(page.Items.Count == 1 ? "instance runs" : "instances run")} on {document} at release {page.Release}");
        });
        if (done) return 0;
        var names = string.Join(", ", [.. behind.Take(MaxNamed).Select(i => $"{i.Instance ?? "(unnamed)"} of token {i.Token}{(i.Reason is null ? "" : $" ({i.Reason})")}"),
            .. behind.Count > MaxNamed ? [$"{behind.Count - MaxNamed} more"] : Array.Empty<string>()]);
        session.Output.Remark(behind.Count > 0
            ? $"after {Durations.Format(limit)} {behind.Count} of {page.Items.Count} live instances of {document} do not run on release {page.Release}: {names}"
            : $"after {Durations.Format(limit)} {document} has {page.Items.Count} live instances and not {wanted}; `lockstep fleet` lists them");
        return Runner.TimedOut;
    }

    private static Option<string?> Label(Verb verb)
    {
        var label = new Option<string?>("--label") { Description = "A Git branch or tag", HelpName = "LABEL" };
        verb.Add(label);
        return label;
    }
}
