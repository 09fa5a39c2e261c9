using System.Runtime.CompilerServices;
using Lockstep.Access;
using Lockstep.Audit;
using Lockstep.Client;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    /// <summary>Entries of the record, newest first. The token of <paramref name="query"/> may be given by its name.</summary>
    public async Task<IReadOnlyList<AuditRecord>> AuditAsync(CallContext call, AuditQuery query, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.AuditRead, Subject.Nothing, "audit.read");
        if (query.TokenId is { } name && Tokens.Find(name) is { } token) query = query with { TokenId = token.Id };
        return await Audit.NewestAsync(query, cancellationToken);
    }

    /// <summary>Checks the whole chain.</summary>
    public async Task<AuditVerification> VerifyAuditAsync(CallContext call, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.AuditRead, Subject.Nothing, "audit.verify");
        return await Audit.VerifyAsync(cancellationToken);
    }

    /// <summary>What a token, given by its name or id, and those derived from it were given.</summary>
    public async Task<ExposureReport> ExposureAsync(CallContext call, string token, DateTimeOffset? since, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.AuditRead, Subject.Nothing, "audit.exposure");
        var id = Tokens.Find(token)?.Id ?? token;
        // One that is gone lives on in the record by its id.
        if (id == token && Tokens.All.All(t => t.Id != id) && !await Audit.Exposure.IsNamedAsync(id, cancellationToken))
            throw new LockstepException(ErrorCode.NotFound, $"there is no token '{token}', and no entry of the record names that id");
        return await Audit.Exposure.OfAsync([id], since, cancellationToken);
    }

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
