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
    }

    private async Task ListAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "action", "token", "since", "after", "limit");
        var limit = (int)(Requests.Number(context, "limit", 1, AuditQuery.MaxLimit) ?? DefaultPage);
        var records = await gate.AuditAsync(call, new AuditQuery
        {
            Action = Requests.Text(context, "action"),
            TokenId = Requests.Text(context, "token"),
            Since = Since(context),
            Before = After(context),
            Limit = limit,
        }, context.RequestAborted);
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

    private static DateTimeOffset? Since(HttpContext context)
    {
        if (Requests.Text(context, "since") is not { } text) return null;
        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind, out var since)
            ? since
            : throw new LockstepException(ErrorCode.BadRequest, "the query parameter 'since' must be a time such as 2026-01-31T23:59:00Z");
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
        var entry = record.Parse() ?? new AuditEntry
        {
            At = DateTimeOffset.FromUnixTimeMilliseconds(record.Position.At),
            Action = "damaged",
            Decision = "",
            Detail = "the entry is not readable; run: lockstep audit verify",
        };
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
        };
    }
}
