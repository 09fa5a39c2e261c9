using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Releases;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    /// <summary>Every role: built in, of the settings, and of the database; of those when and by whom they were written last.</summary>
    public async Task<IReadOnlyList<(Role Role, StoredRole? Stored)>> ListRolesAsync(CallContext call, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.Admin, Subject.Nothing, "role.list");
        var stored = (await Database.ReadAsync(RoleStore.All, cancellationToken)).ToDictionary(r => r.Options.Name, StringComparer.Ordinal);
        return [.. Tokens.Roles.All.Select(r => (r, r.Source == RoleSource.Database ? stored.GetValueOrDefault(r.Name) : null))];
    }

    /// <summary>Writes a role of the database. Whoever holds it may do what it says from the moment this is answered, and what it no longer says no more.</summary>
    public async Task<(Role Role, StoredRole Stored)> SetRoleAsync(CallContext call, RoleOptions options, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.Admin, Subject.Nothing, "role.set");
        var role = Tokens.Roles.Read(options);
        var stored = new StoredRole(options, Time.GetUtcNow(), call.Caller.Name);
        await ChangeRolesAsync(call, "role.set", role.Name, session =>
        {
            // What it was is taken away from those who hold it, and what it becomes given to them: neither may be more than the caller holds.
            if (Tokens.Roles.Find(role.Name) is { } before) call.Caller.EnsureCovers($"the role '{role.Name}' as it is", new Grant(before, TokenLimits.None));
            call.Caller.EnsureCovers($"the role '{role.Name}'", new Grant(role, TokenLimits.None));
            if (Tokens.Roles.Find(role.Name) is null && RoleStore.Count(session) >= RoleSet.MaxStored)
                throw new LockstepException(ErrorCode.Conflict, $"there are {RoleSet.MaxStored} roles, as many as there may be; delete one that nobody needs");
            RoleStore.Save(session, stored);
            return Describe(role);
        }, cancellationToken);
        return (role, stored);
    }

    /// <summary>Deletes a role of the database. Tokens that name it may do nothing any more; if there are any, that must be asked for.</summary>
    public async Task DeleteRoleAsync(CallContext call, string name, bool force, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.Admin, Subject.Nothing, "role.delete");
        if (Tokens.Roles.Find(name) is not { } role) throw new LockstepException(ErrorCode.NotFound, $"there is no role '{name}'");
        if (role.Source != RoleSource.Database) Tokens.Roles.Read(new RoleOptions { Name = name });
        await ChangeRolesAsync(call, "role.delete", name, session =>
        {
            call.Caller.EnsureCovers($"the role '{name}'", new Grant(role, TokenLimits.None));
            var holders = TokenRecord.All(session, Time.GetUtcNow()).Where(t => t.Role == name && t.RevokedAt is null && !(t.ExpiresAt <= Time.GetUtcNow())).ToList();
            if (Options.Issuers.SelectMany(i => i.Roles).Any(r => r.Role == name) && !force)
                throw new LockstepException(ErrorCode.Conflict, $"rules of access.issuers give the role '{name}' to tokens of issuers, which could do nothing without it; change them first, or ?force=true (--force) does it all the same");
            if (holders.Count > 0 && !force)
            {
                throw new LockstepException(ErrorCode.Conflict, $"{holders.Count} tokens have the role '{name}' ({string.Join(", ", holders.Take(10).Select(t => t.Name))}{(holders.Count > 10 ? " …" : "")}) "
                    + "and could do nothing without it; give them another, or ?force=true (--force) does it all the same");
            }
            RoleStore.Delete(session, name);
            return $"{holders.Count} tokens had it";
        }, cancellationToken);
    }

    private async Task ChangeRolesAsync(CallContext call, string action, string name, Func<SqlSession, string> change, CancellationToken cancellationToken)
    {
        try
        {
            var (stored, order) = await WriteTokensAsync(session =>
            {
                var detail = change(session);
                ReleaseStore.WriteJournal(session, null, "role", call.Caller.Name, Time.GetUtcNow(), $"{action} {name}");
                Record(session, call, Entry(call, action, name) with { Detail = detail });
                return (RoleStore.All(session), Tokens.NextOrder());
            }, cancellationToken);
            Tokens.ApplyRoles(stored, order);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Forbidden)
        {
            await RecordDenialAsync(call, action, name, Permission.Admin.Name());
            throw;
        }
    }

    // For the record, which holds names and patterns, and bounded.
    private static string Describe(Role role)
    {
        var text = $"permissions {string.Join(' ', role.Permissions.Select(p => p.Name()))}; services {role.Services}; environments {role.Environments}; secrets {role.Secrets}; "
            + $"paths {role.Paths}; cidrs {string.Join(", ", role.Cidrs)}";
        return text.Length <= MaxDetail ? text : text[..MaxDetail] + "…";
    }
}
