using System.Collections.ObjectModel;
using System.Net;
using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Access;

/// <summary>
/// Every service token, in memory as one immutable snapshot that is swapped whole. A change is written by <see cref="Create"/>,
/// <see cref="Roll"/> or <see cref="Revoke"/> inside the writer's transaction and takes effect with <see cref="Apply"/>, which the gate calls
/// after the commit and before it answers.
/// </summary>
internal sealed class TokenTable(RoleSet roles, TimeProvider time)
{
    /// <summary>The longest an old secret is kept after a roll.</summary>
    public static readonly TimeSpan MaxGrace = TimeSpan.FromDays(7);

    private readonly Lock _swap = new();
    private volatile Snapshot _snapshot = Snapshot.Empty;
    private long _order;

    /// <summary>Called after a change has taken effect, before it is answered.</summary>
    public event Action? Changed;

    /// <summary>All tokens by name, revoked ones included.</summary>
    public IReadOnlyList<TokenRecord> All => [.. _snapshot.ById.Values.Select(t => t.Record).OrderBy(r => r.Name, StringComparer.Ordinal)];

    public TokenRecord? Find(string name) => _snapshot.ById.Values.FirstOrDefault(t => t.Record.Name == name)?.Record;

    /// <summary>Takes everything from the database: at start, or on the writer when it is not sure what was committed.</summary>
    public void Load(SqlSession session)
    {
        var entries = TokenRecord.All(session).ToDictionary(r => r.Id, r => MakeEntry(r, order: 0), StringComparer.Ordinal);
        lock (_swap) _snapshot = new Snapshot(entries);
        Changed?.Invoke();
    }

    /// <summary>What a token permits.</summary>
    public Grant GrantOf(TokenRecord record) => record.GrantUnder(roles);

    /// <summary>Who holds this token now. Every failure looks the same outside; the reason is for the record.</summary>
    public Authentication Authenticate(ServiceToken token, IPAddress? address)
    {
        if (!_snapshot.Lookup.TryGetValue(token.Id, out var entry)) return new(AuthenticationFailure.Unknown);
        var (record, now) = (entry.Record, time.GetUtcNow());
        // The secret first: what else is wrong with a token is for nobody but its holder's records.
        var isNewest = token.Matches(record.Hash);
        if (!isNewest && !(record.PreviousHash is { } previous && record.PreviousUntil > now && token.Matches(previous)))
            return new(AuthenticationFailure.Unknown);
        if (record.RevokedAt is not null) return new(AuthenticationFailure.Revoked, Record: record);
        if (record.ExpiresAt <= now) return new(AuthenticationFailure.Expired, Record: record);
        var grant = entry.Caller.Grant;
        if (!Networks.Hold(grant.Limits.Cidrs, address) || !Networks.Hold(grant.Role.Cidrs, address))
            return new(AuthenticationFailure.AddressNotAllowed, Record: record);
        // Who shows the old secret is one who ends with it.
        return new(AuthenticationFailure.None, isNewest ? entry.Caller : entry.Previous, record);
    }

    /// <summary>Refuses, inside the transaction of what it is about to write, a caller whose token was rolled or revoked since the request began.</summary>
    /// <exception cref="LockstepException">unauthenticated.</exception>
    public void EnsureCurrent(SqlSession session, Caller caller)
    {
        if (caller.IsSystem) return;
        var record = TokenRecord.FindById(session, caller.TokenId);
        if (record is null || !IsCurrent(record, caller)) throw NotCurrent(caller);
    }

    /// <summary>The same before something leaves.</summary>
    /// <exception cref="LockstepException">unauthenticated.</exception>
    public void EnsureCurrent(Caller caller)
    {
        if (!IsCurrent(caller)) throw NotCurrent(caller);
    }

    /// <summary>Whether the token is still what it was when the caller was identified.</summary>
    public bool IsCurrent(Caller caller) =>
        caller.IsSystem || (_snapshot.ById.TryGetValue(caller.TokenId, out var entry) && IsCurrent(entry.Record, caller));

    private bool IsCurrent(TokenRecord record, Caller caller)
    {
        var now = time.GetUtcNow();
        return record.RevokedAt is null && !(record.ExpiresAt <= now)
            && (Same(record.Hash, caller.Hash) || (record.PreviousUntil > now && Same(record.PreviousHash, caller.Hash)));
    }

    // Hashes of tokens are no secrets, but nothing is lost by comparing them as such.
    private static bool Same(byte[]? a, ReadOnlyMemory<byte> b) => a is not null && CryptographicOperations.FixedTimeEquals(a, b.Span);

    private static LockstepException NotCurrent(Caller caller) =>
        new(ErrorCode.Unauthenticated, $"the token '{caller.Name}' was rolled, revoked or has expired while this was under way; nothing was done");

    /// <summary>
    /// Writes a new token. An expired token's name is free again; a revoked one's is not, since a roll revives it.
    /// </summary>
    /// <exception cref="LockstepException">bad-request, already-exists, or forbidden when it would hold more than its creator.</exception>
    public TokenChange Create(SqlSession session, Caller creator, NewToken request)
    {
        var now = time.GetUtcNow();
        if (!NameRules.IsTokenName(request.Name))
            throw new LockstepException(ErrorCode.BadRequest, $"name: a token's name is {NameRules.Words} and starts with a letter or digit.");
        if (roles.Find(request.Role) is not { } role)
            throw new LockstepException(ErrorCode.BadRequest, $"role: there is no role of that name; there are {string.Join(", ", roles.All.Select(r => r.Name))}.");
        if (request.ExpiresIn is { } lifetime && (lifetime <= TimeSpan.Zero || lifetime > TimeSpan.FromDays(36500)))
            throw new LockstepException(ErrorCode.BadRequest, "expiresIn: must be more than 0 and at most 100 years.");
        var (limits, error) = TokenRecord.Limits(request.Services, request.Environments, request.Secrets, request.Cidrs);
        if (error is not null) throw new LockstepException(ErrorCode.BadRequest, error + ".");
        creator.EnsureCovers(request.Name, new Grant(role, limits));

        var replaced = TokenRecord.Find(session, request.Name);
        if (replaced is not null)
        {
            if (replaced.RevokedAt is not null || !(replaced.ExpiresAt <= now))
            {
                throw new LockstepException(ErrorCode.AlreadyExists,
                    $"A token named '{request.Name}' exists{(replaced.RevokedAt is null ? "" : " (revoked)")}; roll it for a new secret, or choose another name.");
            }
            TokenRecord.Delete(session, replaced.Id);
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

    /// <summary>Makes a committed change take effect. Changes of one token may be applied in any order; the last written one stays.</summary>
    public void Apply(TokenChange change)
    {
        lock (_swap)
        {
            var current = _snapshot.ById;
            if (current.TryGetValue(change.Record.Id, out var known) && known.Order > change.Order) return;
            var next = new Dictionary<string, Entry>(current, StringComparer.Ordinal) { [change.Record.Id] = MakeEntry(change.Record, change.Order) };
            if (change.Replaced is not null) next.Remove(change.Replaced);
            _snapshot = new Snapshot(next);
        }
        Changed?.Invoke();
    }

    private static LockstepException NotFound(string name) => new(ErrorCode.NotFound, $"There is no token named '{name}'.");

    private TokenRecord Existing(SqlSession session, Caller caller, string name)
    {
        var record = (NameRules.IsTokenName(name) ? TokenRecord.Find(session, name) : null) ?? throw NotFound(name);
        caller.EnsureCovers(name, record.GrantUnder(roles));
        return record;
    }

    // Runs on the one writer, so the order taken here is the order of the commits.
    private TokenChange Save(SqlSession session, TokenRecord record, ServiceToken? token, string? replaced)
    {
        record.Save(session);
        return new TokenChange(record, token, replaced, Interlocked.Increment(ref _order));
    }

    private Entry MakeEntry(TokenRecord record, long order)
    {
        var grant = record.GrantUnder(roles);
        return new(record, order, MakeCaller(record.Hash), record.PreviousHash is { } previous ? MakeCaller(previous) : null);

        Caller MakeCaller(byte[] hash) => new()
        {
            TokenId = record.Id,
            Name = record.Name,
            Parent = record.Parent,
            ExpiresAt = record.ExpiresAt,
            Hash = hash,
            Grant = grant,
        };
    }

    /// <param name="Record">The token.</param>
    /// <param name="Order">When it was written.</param>
    /// <param name="Caller">Who shows its newest secret.</param>
    /// <param name="Previous">Who shows the one before, while that holds.</param>
    private sealed record Entry(TokenRecord Record, long Order, Caller Caller, Caller? Previous);

    private sealed class Snapshot(Dictionary<string, Entry> byId)
    {
        public static readonly Snapshot Empty = new(new(StringComparer.Ordinal));

        public ReadOnlyDictionary<string, Entry> ById { get; } = byId.AsReadOnly();

        public Dictionary<string, Entry>.AlternateLookup<ReadOnlySpan<char>> Lookup { get; } = byId.GetAlternateLookup<ReadOnlySpan<char>>();
    }
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

/// <summary>A written change, to be applied once it is committed. <paramref name="Token"/> is the new secret, if it has one, and
/// <paramref name="Replaced"/> the id of the expired token whose name it took.</summary>
internal sealed record TokenChange(TokenRecord Record, ServiceToken? Token, string? Replaced, long Order);
