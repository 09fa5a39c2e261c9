using System.Buffers;
using System.Globalization;
using Lockstep.Access;
using Lockstep.Audit;
using Lockstep.Client;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Http;

/// <summary><c>/v1/audit</c>.</summary>
internal sealed class AuditRoutes(Gate.Gate gate)
{
    private const int DefaultPage = 100;

    public void Map(Api api)
    {
        api.Map("GET", "/v1/audit", ListAsync);
        api.Map("GET", "/v1/audit/verify", VerifyAsync);
        api.Map("GET", "/v1/audit/exposure", ExposureAsync, isLong: true);
        api.Map("GET", "/v1/audit/export", ExportAsync, isLong: true);
    }

    private async Task ListAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "action", "token", "since", "after", "limit");
        var limit = (int)(Requests.Number(context, "limit", 1, AuditQuery.MaxLimit) ?? DefaultPage);
        var records = await gate.AuditAsync(call, new AuditQuery
        {
            Action = Requests.Text(context, "action"),
            Since = Time(context, "since"),
            Before = After(context),
            Limit = limit,
        }, Requests.Text(context, "token"), context.RequestAborted);
        await Responses.JsonAsync(context, new Page<AuditEntryInfo>
        {
            Items = [.. records.Select(ToInfo)],
            Next = records.Count == limit ? records[^1].Position.ToString() : null,
        }, WireJson.Context.AuditPage);
    }

    private async Task VerifyAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        await Responses.JsonAsync(context, await gate.VerifyAuditAsync(call, context.RequestAborted), WireJson.Context.AuditVerification);
    }

    private async Task ExposureAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "token", "since");
        var token = Requests.Text(context, "token") ?? throw new LockstepException(ErrorCode.BadRequest, "the query parameter 'token' is missing: the name or the id of a token");
        await Responses.JsonAsync(context, await gate.ExposureAsync(call, token, Time(context, "since"), context.RequestAborted), WireJson.Context.ExposureReport);
    }

    // Whether the answer is whole is told by its end: a connection that breaks before leaves it unfinished.
    private async Task ExportAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "since", "until");
        var (since, until) = (Time(context, "since"), Time(context, "until"));
        var lines = new ArrayBufferWriter<byte>();
        await foreach (var page in gate.ExportAuditAsync(call, since, until, context.RequestAborted))
        {
            Begin(context);
            lines.ResetWrittenCount();
            foreach (var row in page) AuditLine.WriteUnchecked(lines, row);
            await context.Response.Body.WriteAsync(lines.WrittenMemory, context.RequestAborted);
        }
        Begin(context);

        static void Begin(HttpContext context)
        {
            if (!context.Response.HasStarted) context.Response.ContentType = "application/x-ndjson";
        }
    }

    private static DateTimeOffset? Time(HttpContext context, string name)
    {
        if (Requests.Text(context, name) is not { } text) return null;
        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind, out var time)
            ? time
            : throw new LockstepException(ErrorCode.BadRequest, $"the query parameter '{name}' must be a time such as 2026-01-31T23:59:00Z");
    }

    private static AuditCursor? After(HttpContext context)
    {
        if (Requests.Text(context, "after") is not { } text) return null;
        return AuditCursor.TryParse(text, out var cursor)
            ? cursor
            : throw new LockstepException(ErrorCode.BadRequest, "the query parameter 'after' must be the 'next' of the page before");
    }

    private static AuditEntryInfo ToInfo(AuditRecord record)
    {
        // A damaged row is shown as such: the reader of the record must see that something stands there.
        var entry = record.Parse() ?? AuditEntry.Damaged(DateTimeOffset.FromUnixTimeMilliseconds(record.Position.At));
        return new AuditEntryInfo
        {
            Node = record.Position.Node,
            Seq = record.Position.Seq,
            At = entry.At,
            Action = entry.Action,
            Decision = entry.Decision,
            Actor = entry.Actor,
            TokenId = entry.TokenId,
            Address = entry.Address,
            Instances = entry.Instances,
            Trace = entry.Trace,
            Route = entry.Route,
            Subject = entry.Subject,
            Release = entry.Release,
            Secrets = entry.Secrets,
            Count = entry.Count,
            Detail = entry.Detail,
            Parent = entry.Parent,
        };
    }
}
