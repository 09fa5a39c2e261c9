using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Access;

internal sealed partial class TokenTable
{
    /// <summary>The longest that a derived token lives, renewals included.</summary>
    public static readonly TimeSpan MaxDerivedLife = TimeSpan.FromDays(32);

    /// <summary>How many tokens may be alive at a time, that were created, that were derived, and that derive from one that was created, at any depth.</summary>
    public const int MaxCreated = 20_000;
    public const int MaxTokens = 50_000;
    public const int MaxDerived = 10_000;

    /// <summary>How many characters the patterns and networks of one token may have together; of a derived one, those of its own.</summary>
    public const int MaxText = 4096;
    public const int MaxDerivedText = 1024;

    /// <summary>How many tokens may stand between a derived one and one that was created.</summary>
    public const int MaxDepth = 8;

    private static readonly TimeSpan s_derivedLife = TimeSpan.FromHours(1);

    /// <summary>
    /// Writes a new token. An expired token's name is free again; a revoked one's is not, since a roll revives it.
    /// </summary>
    /// <exception cref="LockstepException">bad-request, already-exists, or forbidden when it would hold more than its creator.</exception>
    public TokenChange Create(SqlSession session, Caller creator, NewToken request)
    {
        var now = time.GetUtcNow();
        EnsureNotDerived(creator, "derive from it instead (token derive)");
        if (!NameRules.IsTokenName(request.Name))
            throw new LockstepException(ErrorCode.BadRequest, $"name: a token's name is {NameRules.Words} and starts with a letter or digit.");
        if (Roles.Find(request.Role) is not { } role)
            throw new LockstepException(ErrorCode.BadRequest, $"role: there is no role of that name; you can give {string.Join(", ", Roles.All.Where(r => creator.Grant.MissingFor(new Grant(r, TokenLimits.None)) is null).Select(r => r.Name).DefaultIfEmpty("none"))}.");
        if (request.ExpiresIn is { } lifetime && (lifetime <= TimeSpan.Zero || lifetime > TimeSpan.FromDays(36500)))
            throw new LockstepException(ErrorCode.BadRequest, "expiresIn: must be more than 0 and at most 100 years.");
        EnsureRoom(derived: false, now);
        var (limits, error) = TokenRecord.Limits(request.Services, request.Environments, request.Secrets, request.Cidrs);
        if (error is not null) throw new LockstepException(ErrorCode.BadRequest, error + ".");
        EnsureShort(MaxText, request.Services, request.Environments, request.Secrets, request.Cidrs);
        creator.EnsureCovers(Quote(request.Name, role.Name), new Grant(role, limits));

        var replaced = TokenRecord.Find(session, request.Name);
        if (replaced is not null)
        {
            if (replaced.RevokedAt is not null || !(replaced.ExpiresAt <= now))
            {
                throw new LockstepException(ErrorCode.AlreadyExists,
                    $"A token named '{request.Name}' exists{(replaced.RevokedAt is null ? "" : " (revoked)")}; roll it for a new secret, or choose another name.");
            }
            TokenRecord.FreeName(session, replaced);
        }

        var token = ServiceToken.Create();
        var record = new TokenRecord
        {
            Id = token.Id.ToString(),
            Name = request.Name,
            Hash = token.Hash(),
            Role = role.Name,
            Services = request.Services,
            Environments = request.Environments,
            Secrets = request.Secrets,
            Cidrs = request.Cidrs,
            CreatedAt = now,
            CreatedBy = creator.Name,
            ExpiresAt = now + request.ExpiresIn,
        };
        return Save(session, record, token, replaced?.Id);
    }

    /// <summary>
    /// Gives the token a new secret under its id and name, and revives it when it was revoked. The old secret holds for
    /// <paramref name="grace"/> more (of a revoked token: not at all); 0: dead as soon as this is applied.
    /// </summary>
    /// <exception cref="LockstepException">not-found, bad-request, conflict when it has expired, or forbidden when it holds more than the caller.</exception>
    public TokenChange Roll(SqlSession session, Caller caller, string name, TimeSpan grace)
    {
        if (grace < TimeSpan.Zero || grace > MaxGrace)
            throw new LockstepException(ErrorCode.BadRequest, $"grace: must be from 0s to {MaxGrace.TotalHours:0}h.");
        var now = time.GetUtcNow();
        EnsureNotDerived(caller, "show the token that it derives from");
        var record = Existing(session, caller, name);
        if (record.ExpiresAt <= now)
            throw new LockstepException(ErrorCode.Conflict, $"the token '{name}' expired at {record.ExpiresAt:u}; create it anew under the same name");
        var token = ServiceToken.Create(record.Id);
        var keepsOld = grace > TimeSpan.Zero && record.RevokedAt is null;
        var rolled = record with
        {
            Hash = token.Hash(),
            PreviousHash = keepsOld ? record.Hash : null,
            PreviousUntil = keepsOld ? now + grace : null,
            RevokedAt = null,
        };
        return Save(session, rolled, token, replaced: null);
    }

    /// <summary>Ends the token, with any secret it has; a roll revives the name. To revoke twice is no error.</summary>
    /// <exception cref="LockstepException">not-found, or forbidden when it holds more than the caller.</exception>
    public TokenChange Revoke(SqlSession session, Caller caller, string name)
    {
        var record = Existing(session, caller, name);
        return Save(session, record with { PreviousHash = null, PreviousUntil = null, RevokedAt = record.RevokedAt ?? time.GetUtcNow() }, token: null, replaced: null);
    }

    /// <summary>
    /// Writes a token that dies with the caller's own: when that is rolled, revoked or expires. It permits no more than its parent does, whatever becomes of that.
    /// </summary>
    /// <exception cref="LockstepException">bad-request, already-exists, conflict when there are too many, or forbidden when it would hold more than its parent.</exception>
    public TokenChange Derive(SqlSession session, Caller creator, DerivedToken request)
    {
        var now = time.GetUtcNow();
        var parent = TokenRecord.FindById(session, creator.TokenId)
            ?? throw new LockstepException(ErrorCode.BadRequest, "only a service token has derived tokens; a token of an issuer is short-lived itself");
        var life = request.ExpiresIn ?? s_derivedLife;
        var inAll = request.RenewableFor ?? life;
        if (life <= TimeSpan.Zero || life > MaxDerivedLife || inAll < life || inAll > MaxDerivedLife)
            throw new LockstepException(ErrorCode.BadRequest, $"expiresIn and renewableFor: must be more than 0 and at most {MaxDerivedLife.TotalDays:0}d, and renewableFor not less than expiresIn");
        // Below its parent's name, so that it can be taken for nobody else.
        var name = NameFor(parent, request.Name);
        if (!NameRules.IsTokenName(name)) throw new LockstepException(ErrorCode.BadRequest, $"name: a token's name is {NameRules.Words} and starts with a letter or digit.");
        var record = parent with
        {
            Name = name,
            Role = request.Role ?? parent.Role,
            Services = request.Services ?? parent.Services,
            Environments = request.Environments ?? parent.Environments,
            Secrets = request.Secrets ?? parent.Secrets,
            Cidrs = request.Cidrs ?? parent.Cidrs,
            Parent = parent.Id,
            Root = parent.Root ?? parent.Id,
            ParentHash = creator.Hash.ToArray(),
            PreviousHash = null,
            PreviousUntil = null,
            CreatedAt = now,
            CreatedBy = creator.Name,
            RenewFor = request.RenewableFor is null ? null : life,
            RenewUntil = request.RenewableFor is null ? null : now + inAll,
            ExpiresAt = Earliest(now + life, parent.ExpiresAt),
            LastUsedAt = null,
        };
        EnsureShort(MaxDerivedText, request.Services, request.Environments, request.Secrets, request.Cidrs);
        EnsureWithin(creator, parent, record);
        var replaced = TokenRecord.Find(session, name);
        if (replaced is not null)
        {
            // One that was created keeps its name for who created it.
            if (replaced.Parent is null || !(replaced.ExpiresAt <= now)) throw new LockstepException(ErrorCode.AlreadyExists, $"A token named '{name}' exists; choose another name, or none.");
            TokenRecord.FreeName(session, replaced);
        }
        EnsureRoom(derived: true, now);
        if (_snapshot is { Entries: { Count: >= MaxDerived } there } snapshot && there.Count(e => e.Record.Root == record.Root && snapshot.IsAlive(e.Record, now)) >= MaxDerived)
            throw new LockstepException(ErrorCode.Conflict, $"{MaxDerived:N0} tokens derive from the one that '{parent.Name}' goes back to, as many as may; let some expire, or revoke them");
        if (Depth(session, record) > MaxDepth) throw new LockstepException(ErrorCode.Conflict, $"a derived token may stand at most {MaxDepth} below one that was created");
        var token = ServiceToken.Create();
        return Save(session, record with { Id = token.Id.ToString(), Hash = token.Hash() }, token, replaced?.Id);
    }

    /// <summary>Makes the caller's own token live on, for as long as it was made for, or <paramref name="expiresIn"/> when that is less.</summary>
    /// <exception cref="LockstepException">bad-request, or conflict when it can't be renewed.</exception>
    public TokenChange Renew(SqlSession session, Caller caller, TimeSpan? expiresIn)
    {
        var record = TokenRecord.FindById(session, caller.TokenId);
        if (record is not { RenewFor: { } life, RenewUntil: { } until })
            throw new LockstepException(ErrorCode.Conflict, $"the token '{caller.Name}' can't be renewed: it was not made so (token derive --renewable-for)");
        if (expiresIn is { } asked)
        {
            if (asked <= TimeSpan.Zero) throw new LockstepException(ErrorCode.BadRequest, "expiresIn: must be more than 0");
            life = asked < life ? asked : life;
        }
        var parent = TokenRecord.FindById(session, record.Parent!);
        return Save(session, record with { ExpiresAt = Earliest(Earliest(time.GetUtcNow() + life, until), parent?.ExpiresAt) }, token: null, replaced: null);
    }

    /// <summary>Ends every token in the scope but the caller's own and those that it was derived from.</summary>
    public List<TokenChange> Kill(SqlSession session, Caller caller, KillScope scope) =>
        [.. InScope(TokenRecord.All(session, time.GetUtcNow()), caller, scope).Select(r => Save(session, r with { PreviousHash = null, PreviousUntil = null, RevokedAt = time.GetUtcNow() }, token: null, replaced: null))];

    /// <summary>The tokens that <see cref="Kill"/> would end now.</summary>
    public List<TokenRecord> InScope(Caller caller, KillScope scope) => [.. InScope(All, caller, scope)];

    private IEnumerable<TokenRecord> InScope(IReadOnlyList<TokenRecord> records, Caller caller, KillScope scope)
    {
        var now = time.GetUtcNow();
        var byId = records.ToDictionary(r => r.Id, StringComparer.Ordinal);
        var spared = new HashSet<string>(StringComparer.Ordinal);
        for (var id = caller.TokenId; id is not null && spared.Add(id); id = byId.GetValueOrDefault(id)?.Parent) { }
        return records.Where(r => r.RevokedAt is null && !(r.ExpiresAt <= now) && !spared.Contains(r.Id) && scope.Holds(GrantOf(r)) && TokenSnapshot.ParentsAccept(byId.GetValueOrDefault, r, now));
    }

    private static LockstepException NotFound(string name) => new(ErrorCode.NotFound, $"There is no token named '{name}'.");

    private TokenRecord Existing(SqlSession session, Caller caller, string name)
    {
        var record = NameRules.IsTokenName(name) ? TokenRecord.Find(session, name) : null;
        if (record is not null && record.Id == caller.TokenId)
        {
            // Its own end is everybody's own business; but who has the old text in its grace may be the one because of whom it was rolled.
            if (record.RevokedAt is null && !record.Accepts(caller.Hash.Span, time.GetUtcNow(), newestOnly: true))
                throw new LockstepException(ErrorCode.Forbidden, $"the token '{name}' has been rolled, and what was shown is its old text: show the new one");
            return record;
        }
        // Who is not shown it in the list is not told here whether it is there.
        if (!caller.Grant.ReachesEverything(Permission.TokenWrite) && (record is null || caller.Grant.MissingFor(GrantOf(record)) is not null))
            throw new LockstepException(ErrorCode.Forbidden, $"there is no token named '{name}', or it holds more than '{caller.Name}' does");
        if (record is null) throw NotFound(name);
        caller.EnsureCovers(Quote(name, record.Role), GrantOf(record));
        return record;
    }

    private TokenChange Save(SqlSession session, TokenRecord record, ServiceToken? token, string? replaced)
    {
        record.Save(session);
        return new TokenChange(record, token, replaced, NextOrder());
    }

    // Each kind by itself: who may do no more than derive must not keep others from creating.
    private void EnsureRoom(bool derived, DateTimeOffset now)
    {
        var (snapshot, limit) = (_snapshot, derived ? MaxTokens : MaxCreated);
        if (snapshot.Entries.Count >= limit && snapshot.Entries.Count(e => e.Record.Parent is not null == derived && snapshot.IsAlive(e.Record, now)) >= limit)
            throw new LockstepException(ErrorCode.Conflict, $"there are {limit:N0} {(derived ? "derived" : "created")} tokens, as many as there may be; let some expire, or revoke what nobody needs");
    }

    private static int Depth(SqlSession session, TokenRecord record)
    {
        var depth = 0;
        for (; record.Parent is { } id && depth <= MaxDepth && TokenRecord.FindById(session, id) is { } parent; depth++) record = parent;
        return depth;
    }

    // Asked is only whether it would be more than its parent says: what that itself lies within holds for it too, whatever becomes of it.
    private void EnsureWithin(Caller creator, TokenRecord parent, TokenRecord derived)
    {
        var (limits, error) = TokenRecord.Limits(derived.Services, derived.Environments, derived.Secrets, derived.Cidrs);
        if (error is not null) throw new LockstepException(ErrorCode.BadRequest, error + ".");
        var role = Roles.Find(derived.Role);
        var missing = role is null ? $"there is no role '{derived.Role}' (any more)" : creator.Grant.WithoutParent.MissingFor(new Grant(role, limits));
        if (missing is null) return;
        // Everybody may do this: a role that is not the caller's own is not told from one that is not there.
        throw new LockstepException(ErrorCode.Forbidden, derived.Role == parent.Role
            ? $"{Quote(derived.Name, derived.Role)} would hold more than '{creator.Name}' does: {missing}"
            : $"role: there is no role '{derived.Role}', or as it is asked for it would hold more than '{creator.Name}' does");
    }

    // What somebody could do with a token that derives from theirs must end with it.
    private static void EnsureNotDerived(Caller caller, string wayOut)
    {
        if (caller.Parent is not null) throw new LockstepException(ErrorCode.Forbidden, $"the token '{caller.Name}' derives from another and gives out none that would outlive that; {wayOut}");
    }

    // Patterns are kept in memory and compared with each other, by anybody who may derive.
    private static void EnsureShort(int limit, params ReadOnlySpan<IReadOnlyList<string>?> lists)
    {
        var length = 0;
        foreach (var list in lists) length += list?.Sum(p => p.Length + 1) ?? 0;
        if (length > limit) throw new LockstepException(ErrorCode.BadRequest, $"services, environments, secrets and cidrs: may have {limit:N0} characters together; they have {length:N0}. A role holds more");
    }

    // Readable, unique for all that matters, and within the length of a name.
    private static string NameFor(TokenRecord parent, string? name)
    {
        if (name is not null) return $"{parent.Name}.{name}";
        var suffix = "." + RandomNumberGenerator.GetString("abcdefghijklmnopqrstuvwxyz0123456789", 10);
        return parent.Name[..Math.Min(parent.Name.Length, NameRules.MaxLength - suffix.Length)] + suffix;
    }

    private static string Quote(string name, string role) => $"the token '{name}' (role '{role}')";

    private static DateTimeOffset Earliest(DateTimeOffset a, DateTimeOffset? b) => b < a ? b.Value : a;
}

/// <summary>What <c>POST /v1/tokens</c> asks for; null lists: as the role says.</summary>
internal sealed record NewToken(string Name, string Role)
{
    public IReadOnlyList<string>? Services { get; init; }

    public IReadOnlyList<string>? Environments { get; init; }

    public IReadOnlyList<string>? Secrets { get; init; }

    public IReadOnlyList<string>? Cidrs { get; init; }

    public TimeSpan? ExpiresIn { get; init; }
}

/// <summary>What <c>POST /v1/tokens/derive</c> asks for; null: as its parent.</summary>
internal sealed record DerivedToken
{
    /// <summary>Null: made of the parent's.</summary>
    public string? Name { get; init; }

    public string? Role { get; init; }

    public IReadOnlyList<string>? Services { get; init; }

    public IReadOnlyList<string>? Environments { get; init; }

    public IReadOnlyList<string>? Secrets { get; init; }

    public IReadOnlyList<string>? Cidrs { get; init; }

    /// <summary>Null: an hour.</summary>
    public TimeSpan? ExpiresIn { get; init; }

    /// <summary>For how long in all it can be renewed; null: not at all.</summary>
    public TimeSpan? RenewableFor { get; init; }
}

/// <summary>A written change, to be applied once it is committed. <paramref name="Token"/> is the new secret, if it has one, and
/// <paramref name="Replaced"/> the id of the expired token whose name it took.</summary>
internal sealed record TokenChange(TokenRecord Record, ServiceToken? Token, string? Replaced, long Order);
