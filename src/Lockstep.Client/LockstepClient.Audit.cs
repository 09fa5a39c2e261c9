namespace Lockstep.Client;

public sealed partial class LockstepClient
{
    /// <summary>Entries of the record, newest first, at most 1000; <see cref="Page{T}.Next"/> as <paramref name="after"/> leads to older ones.</summary>
    public Task<Page<AuditEntryInfo>> ListAuditAsync(string? after = null, int? limit = null, CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/audit").Query("after", after).Query("limit", limit), LockstepJson.Tolerant.AuditPage, cancellationToken);

    /// <summary>Whether the record is as it was written.</summary>
    public Task<AuditVerification> VerifyAuditAsync(CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/audit/verify"), LockstepJson.Tolerant.AuditVerification, cancellationToken);

    /// <summary>What a token, and those derived from it, were given.</summary>
    /// <param name="token">The token's name or id.</param>
    /// <param name="since">From when on; null: from the beginning.</param>
    /// <param name="cancellationToken">Ends the call.</param>
    public Task<ExposureReport> GetExposureAsync(string token, DateTimeOffset? since = null, CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/audit/exposure").Query("token", token).Query("since", Text(since)), LockstepJson.Tolerant.ExposureReport, cancellationToken);

    /// <summary>Copies the record to a stream as it comes, a JSON line for each entry, oldest first. When this fails, the lines are not all.</summary>
    /// <param name="destination">Where to.</param>
    /// <param name="since">From when on; null: from the beginning.</param>
    /// <param name="until">Up to when; null: now.</param>
    /// <param name="cancellationToken">Ends the call.</param>
    public async Task ExportAuditAsync(Stream destination, DateTimeOffset? since = null, DateTimeOffset? until = null, CancellationToken cancellationToken = default)
    {
        using var request = Request(HttpMethod.Get, new Route("v1/audit/export").Query("since", Text(since)).Query("until", Text(until)).ToString());
        await AuthoriseAsync(request, cancellationToken);
        using var response = await ExchangeAsync(request, cancellationToken, HttpCompletionOption.ResponseHeadersRead);
        try
        {
            await response.Content.CopyToAsync(destination, cancellationToken);
        }
        catch (HttpRequestException e)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"{Address} ended the export before its end: what was written is not all; try again", e);
        }
    }

    private static string? Text(DateTimeOffset? time) => time?.UtcDateTime.ToString("O", System.Globalization.CultureInfo.InvariantCulture);
}
