using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Gate;
using Lockstep.Releases;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Http;

/// <summary><c>POST /v1/plan</c>.</summary>
internal sealed class PlanRoutes(Gate.Gate gate)
{
    private const int MaxFiles = 10_000;
    private const int MaxSecrets = 100;

    public void Map(Api api) => api.Map("POST", "/v1/plan", PlanAsync);

    private async Task PlanAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        var body = await Requests.BodyAsync(context, LockstepJson.Default.PlanRequest);
        if (body.Files.Count > MaxFiles) throw new LockstepException(ErrorCode.BadRequest, $"the field 'files' has {body.Files.Count} files; at most {MaxFiles} are planned at once");
        if (body.Secrets.Count > MaxSecrets) throw new LockstepException(ErrorCode.BadRequest, $"the field 'secrets' has {body.Secrets.Count} secrets; at most {MaxSecrets} are planned at once");
        var plan = await gate.PlanAsync(call, body.Files, body.Secrets.ToDictionary(s => Requests.Secret(s.Key), s => s.Value), context.RequestAborted);
        await Responses.JsonAsync(context, ToResult(plan), WireJson.Context.PlanResult);
    }

    private PlanResult ToResult(Plan plan) => new()
    {
        Release = plan.Report.Live.Release.Number,
        Commit = gate.TrackedCommit(plan.Report.Live.Release),
        Valid = plan.Report.IsSound,
        Documents = [.. plan.Documents.Select(d => new PlanDocument
        {
            Service = d.Document.Key.Service,
            Environment = d.Document.Key.Environment,
            Label = d.Document.Key.Label ?? gate.TrackedBranch,
            Outcome = OutcomeOf(d.Document),
            Keys = d.Document.Keys,
            Instances = d.Instances,
            Errors = ToProblems(d.Document.Errors),
            Warnings = ToProblems(d.Document.Warnings),
        })],
        Others = plan.Report.Documents.Length - plan.Documents.Count,
        Errors = ToProblems(plan.Report.Errors),
        Warnings = ToProblems(plan.Report.Warnings),
    };

    private static string OutcomeOf(CandidateDocument document) => (document.WasValid, document.IsValid) switch
    {
        (true, true) => "changes",
        (true, false) => "breaks",
        (false, true) => "mends",
        (false, false) => "stays-broken",
    };

    private static ProblemError[] ToProblems(IEnumerable<ConfigError> errors) => [.. errors.Select(e => e.ToProblem())];
}
