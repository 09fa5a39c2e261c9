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
}
