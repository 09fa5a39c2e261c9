using System.Runtime.CompilerServices;
using Lockstep.Access;
using Lockstep.Audit;
using Lockstep.Client;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    /// <summary>Entries of the record, newest first; with <paramref name="token"/>, a name or an id, of those whom it stands for.</summary>
    public async Task<IReadOnlyList<AuditRecord>> AuditAsync(CallContext call, AuditQuery query, string? token, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.AuditRead, Subject.Nothing, "audit.read");
        if (token is not null) query = query with { TokenIds = await IdsAsync(token, cancellationToken) is [_, ..] ids ? [.. ids.Take(AuditQuery.MaxTokens)] : [token] };
        return await Audit.NewestAsync(query, cancellationToken);
    }

    /// <summary>Checks the whole chain.</summary>
    public async Task<AuditVerification> VerifyAuditAsync(CallContext call, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.AuditRead, Subject.Nothing, "audit.verify");
        return await Audit.VerifyAsync(cancellationToken);
    }

    /// <summary>What tokens, given by their name or id, and those derived from them were given.</summary>
    public async Task<ExposureReport> ExposureAsync(CallContext call, string token, DateTimeOffset? since, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.AuditRead, Subject.Nothing, "audit.exposure");
        var ids = await IdsAsync(token, cancellationToken);
        if (ids.Count == 0) throw new LockstepException(ErrorCode.NotFound, $"there is no token '{token}', and no entry of the record names that id");
        return await Audit.Exposure.OfAsync(ids, since, cancellationToken);
    }

    // A caller of an issuer is known by its subject, and the issuer without its scheme.
    private Task<IReadOnlyList<string>> IdsAsync(string token, CancellationToken cancellationToken) => Audit.Exposure.IdsAsync(
        token,
        [
            .. Options.Issuers.Select(i => (i.Issuer, Suffix: "@" + i.Issuer[(i.Issuer.IndexOf("://", StringComparison.Ordinal) + 3)..].TrimEnd('/')))
                .Where(i => token.TrimEnd('/').EndsWith(i.Suffix, StringComparison.Ordinal))
                .Select(i => IssuedCallers.IdOf(i.Issuer, token.TrimEnd('/')[..^i.Suffix.Length])),
        ],
        cancellationToken);

    /// <summary>The entries of a time, oldest first; that they are read is entered before the first of them.</summary>
    public async IAsyncEnumerable<IReadOnlyList<AuditRow>> ExportAuditAsync(
        CallContext call, DateTimeOffset? since, DateTimeOffset? until, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.AuditRead, Subject.Nothing, "audit.export");
        var end = until ?? Time.GetUtcNow();
        await RecordDisclosureAsync(call, Entry(call, "audit.export", null) with { Detail = $"since {(since is { } begin ? $"{begin:O}" : "the beginning")} until {end:O}" }, cancellationToken);
        await foreach (var page in AuditExport.PagesAsync(Database, since, end, cancellationToken))
        {
            // It may take long.
            Authenticator.EnsureCurrent(call.Caller);
            yield return page;
        }
    }
}
