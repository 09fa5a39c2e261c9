using System.Text.Json;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config.Formats;
using Lockstep.Releases;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Http;

/// <summary><c>/v1/config</c>, <c>/v1/releases</c> and <c>/v1/refresh</c>.</summary>
internal sealed class ConfigRoutes(Gate.Gate gate)
{
    // What Kestrel takes over before it waits for the client.
    private const int LargeBody = 32 * 1024;

    private const int DefaultPage = 50;

    private static readonly string[] s_formats = ["json", .. DocumentFormat.Names];

    public void Map(Api api)
    {
        api.Map("GET", "/v1/config/{service}/{env}", GetAsync);
        api.Map("GET", "/v1/config/{service}/{env}/history", HistoryAsync);
        api.Map("GET", "/v1/config/{service}/{env}/diff", DiffAsync);
        api.Map("POST", "/v1/config/{service}/{env}/rollback", RollbackAsync);
        api.Map("DELETE", "/v1/config/{service}/{env}/pin", UnpinAsync);
        api.Map("GET", "/v1/releases", ListAsync);
        api.Map("GET", "/v1/releases/{n}", ShowAsync);
        api.Map("POST", "/v1/refresh", RefreshAsync);
    }

    private async Task GetAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "label", "release", "format");
        var format = Requests.Text(context, "format") ?? "json";
        if (!s_formats.Contains(format)) throw new LockstepException(ErrorCode.BadRequest, $"unknown format '{format}'; there are {string.Join(", ", s_formats)}");
        var release = Requests.Number(context, "release", 1, long.MaxValue);
        var read = await gate.ReadConfigAsync(call, Requests.Document(context), release, context.Request.Headers.IfNoneMatch, context.RequestAborted);
        // What the network does not take up at once must not go on to a token that ends meanwhile.
        using var life = read is { NotModified: false, Document: { Discloses.IsEmpty: false, Json.Length: > LargeBody } } ? gate.Authenticator.WhenEnded(call.Caller, context.Abort) : null;
        await Responses.SnapshotAsync(context, read, format);
    }

    private async Task HistoryAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "label", "before", "limit");
        var (before, limit) = Page(context);
        var items = await gate.HistoryAsync(call, Requests.Document(context), before, limit, context.RequestAborted);
        var next = items.Count == limit ? items[^1].Number : (long?)null;
        await Responses.JsonAsync(context, ToPage(items, next, named: true), WireJson.Context.ReleasePage);
    }

    private async Task DiffAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "label", "from", "to");
        var from = Required(Requests.Number(context, "from", 1, long.MaxValue), "from");
        var to = Requests.Number(context, "to", 1, long.MaxValue) ?? gate.NewestRelease;
        var diff = await gate.DiffAsync(call, Requests.Document(context), from, to, context.RequestAborted);
        await Responses.JsonAsync(context, new ConfigDiff
        {
            From = from,
            To = to,
            Added = diff.Added,
            Removed = diff.Removed,
            Changed = [.. diff.Changed.Select(c => new ConfigChange { Key = c.Key, From = ToJson(c.From), To = ToJson(c.To) })],
        }, WireJson.Context.ConfigDiff);
    }

    private async Task RollbackAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        var body = await Requests.BodyAsync(context, LockstepJson.Default.RollbackRequest);
        await WriteAsync(context, call, await gate.RollbackAsync(call, Requests.Document(context), body.To, context.RequestAborted));
    }

    private async Task UnpinAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "force");
        await WriteAsync(context, call, await gate.UnpinAsync(call, Requests.Document(context), Requests.Flag(context, "force", false), context.RequestAborted));
    }

    private async Task ListAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "before", "limit");
        var (before, limit) = Page(context);
        var (items, next) = await gate.ReleasesAsync(call, before, limit, context.RequestAborted);
        await Responses.JsonAsync(context, ToPage(items, next, named: false), WireJson.Context.ReleasePage);
    }

    private async Task ShowAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        if (!long.TryParse(Requests.Route(context, "n"), System.Globalization.NumberStyles.None, null, out var number))
            throw new LockstepException(ErrorCode.BadRequest, "a release is a number from 1");
        await Responses.JsonAsync(context, ToInfo(await gate.ReleaseAsync(call, number, context.RequestAborted), named: true), WireJson.Context.ReleaseInfo);
    }

    private async Task RefreshAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        await WriteAsync(context, call, await gate.RefreshAsync(call, context.RequestAborted));
    }

    private Task WriteAsync(HttpContext context, CallContext call, ReleaseOutcome outcome) => Responses.JsonAsync(context, new RefreshResult
    {
        Release = outcome.Release.Number,
        Commit = gate.TrackedCommit(outcome.Release),
        Changed = [.. Gate.Gate.VisibleChanges(call, outcome).Select(c => new DocumentName
        {
            Service = c.Key.Service,
            Environment = c.Key.Environment,
            Label = c.Key.Label ?? gate.TrackedBranch,
        })],
    }, WireJson.Context.RefreshResult);

    private static (long Before, int Limit) Page(HttpContext context) => (
        Requests.Number(context, "before", 1, long.MaxValue) ?? long.MaxValue,
        (int)(Requests.Number(context, "limit", 1, DocumentHistory.MaxPage) ?? DefaultPage));

    private Page<ReleaseInfo> ToPage(IEnumerable<ReleaseRecord> items, long? next, bool named) => new()
    {
        Items = [.. items.Select(r => ToInfo(r, named))],
        Next = next?.ToString(System.Globalization.CultureInfo.InvariantCulture),
    };

    private ReleaseInfo ToInfo(ReleaseRecord release, bool named) => new()
    {
        Release = release.Number,
        At = release.At,
        By = release.By,
        Kind = release.Kind,
        Message = release.Message,
        Commit = release.Commit,
        Keys = [.. release.Changes.Keys],
        DocumentCount = named ? release.Changes.Count : null,
        Documents = !named ? null :
        [
            .. release.Changes.Documents.Select(c => new ReleaseDocument
            {
                Service = c.Key.Service,
                Environment = c.Key.Environment,
                Label = c.Key.Label ?? gate.TrackedBranch,
                Keys = [.. c.Keys ?? []],
                Valid = c.ETag is not null,
                Reason = c.Reason,
            }),
        ],
    };

    // A plain value as in the snapshot; of a value with secrets {"secrets":{"ID":VERSION}}.
    private static JsonElement ToJson(DiffSide side)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            if (side.Value is { } value)
            {
                value.WriteTo(json);
            }
            else
            {
                json.WriteStartObject();
                json.WriteStartObject("secrets");
                foreach (var secret in side.Secrets)
                {
                    var at = secret.LastIndexOf('@');
                    json.WriteNumber(secret[..at], int.Parse(secret.AsSpan(at + 1), System.Globalization.CultureInfo.InvariantCulture));
                }
                json.WriteEndObject();
                json.WriteEndObject();
            }
        }
        return JsonElement.Parse(stream.ToArray());
    }

    private static long Required(long? number, string name) =>
        number ?? throw new LockstepException(ErrorCode.BadRequest, $"the query parameter '{name}' is missing");
}
