using System.Net;

namespace Lockstep.Client;

public sealed partial class LockstepClient
{
    /// <summary>Reads a document.</summary>
    public async Task<ConfigAnswer> GetConfigAsync(string service, string environment, ConfigQuery? query = null, CancellationToken cancellationToken = default)
    {
        using var response = await SendConfigAsync(service, environment, query, null, cancellationToken);
        return new ConfigAnswer
        {
            ETag = response.Headers.ETag?.ToString(),
            Snapshot = response.StatusCode == HttpStatusCode.NotModified ? null : await ReadAsync(response, LockstepJson.Tolerant.Snapshot, cancellationToken),
        };
    }

    /// <summary>Reads a document as text of the given format: <c>json</c>, <c>nested</c>, <c>dotenv</c>, <c>yaml</c> or <c>properties</c>.</summary>
    public async Task<string> GetConfigTextAsync(string service, string environment, string format, ConfigQuery? query = null, CancellationToken cancellationToken = default)
    {
        using var response = await SendConfigAsync(service, environment, query, format, cancellationToken);
        return await response.Content.ReadAsStringAsync(cancellationToken);
    }

    /// <summary>The releases that changed a document, newest first, one page of at most <paramref name="limit"/> before release <paramref name="before"/>.</summary>
    public Task<Page<ReleaseInfo>> GetHistoryAsync(string service, string environment, string? before = null, int? limit = null, string? label = null, CancellationToken cancellationToken = default) =>
        GetAsync(Document(service, environment).Word("history").Query("label", label).Query("before", before).Query("limit", limit), LockstepJson.Tolerant.ReleasePage, cancellationToken);

    /// <summary>What differs between two releases of a document.</summary>
    public Task<ConfigDiff> GetDiffAsync(string service, string environment, long from, long? to = null, string? label = null, CancellationToken cancellationToken = default) =>
        GetAsync(Document(service, environment).Word("diff").Query("label", label).Query("from", from).Query("to", to), LockstepJson.Tolerant.ConfigDiff, cancellationToken);

    /// <summary>Pins a document to what it was at release <paramref name="to"/>; answers with the release that made it so.</summary>
    public Task<RefreshResult> RollbackAsync(string service, string environment, long to, CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Post, Document(service, environment).Word("rollback"), Body(new RollbackRequest { To = to }, LockstepJson.Default.RollbackRequest),
            LockstepJson.Tolerant.RefreshResult, cancellationToken);

    /// <summary>Lets a pinned document follow the branch again; answers with the release that made it so. <paramref name="force"/>: even where the branch's document does not resolve.</summary>
    public Task<RefreshResult> UnpinAsync(string service, string environment, bool force = false, CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Delete, Document(service, environment).Word("pin").Query("force", force), null, LockstepJson.Tolerant.RefreshResult, cancellationToken);

    /// <summary>The journal, newest first.</summary>
    public Task<Page<ReleaseInfo>> ListReleasesAsync(string? before = null, int? limit = null, CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/releases").Query("before", before).Query("limit", limit), LockstepJson.Tolerant.ReleasePage, cancellationToken);

    /// <summary>One release.</summary>
    public Task<ReleaseInfo> GetReleaseAsync(long release, CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/releases").Segment("the release", release.ToString(System.Globalization.CultureInfo.InvariantCulture)),
            LockstepJson.Tolerant.ReleaseInfo, cancellationToken);

    /// <summary>What a change of files and secrets would do to the known documents; nothing is changed.</summary>
    public Task<PlanResult> PlanAsync(PlanRequest change, CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Post, new Route("v1/plan"), Body(change, LockstepJson.Default.PlanRequest), LockstepJson.Tolerant.PlanResult, cancellationToken);

    /// <summary>Has the server fetch Git now; answers when readers see what came of it.</summary>
    public Task<RefreshResult> RefreshAsync(CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Post, new Route("v1/refresh"), null, LockstepJson.Tolerant.RefreshResult, cancellationToken);

    private static Route Document(string service, string environment) =>
        new Route("v1/config").Segment("the service", service).Segment("the environment", environment);

    private async Task<HttpResponseMessage> SendConfigAsync(string service, string environment, ConfigQuery? query, string? format, CancellationToken cancellationToken)
    {
        var route = Document(service, environment).Query("label", query?.Label).Query("release", query?.Release).Query("format", format);
        using var request = Request(HttpMethod.Get, route.ToString());
        if (query?.IfNoneMatch is { } etag) request.Headers.TryAddWithoutValidation("If-None-Match", etag);
        await AuthoriseAsync(request, cancellationToken);
        return await ExchangeAsync(request, cancellationToken);
    }
}
