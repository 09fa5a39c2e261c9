using System.Net;
using System.Security.Cryptography;
using Lockstep.Storage;

namespace Lockstep.Access;

/// <summary>
/// Every service token, in memory as one immutable snapshot that is swapped whole, with the roles that say what they permit. A change is written by <see cref="Create"/>,
/// <see cref="Roll"/> and their like inside the writer's transaction and takes effect with <see cref="Apply"/>, which the gate calls
/// after the commit and before it answers.
/// </summary>
internal sealed partial class TokenTable(RoleSet roles, TimeProvider time)
{
    /// <summary>The longest an old secret is kept after a roll.</summary>
    public static readonly TimeSpan MaxGrace = TimeSpan.FromDays(7);

    // What an unknown id is compared with, so that it takes as long as a wrong secret.
    private static readonly byte[] s_nobody = RandomNumberGenerator.GetBytes(SHA256.HashSizeInBytes);

    private readonly Lock _swap = new();
    private volatile TokenSnapshot _snapshot = new(roles, []);
    private long _order;
    private long _rolesOrder;

    /// <summary>Called after a change has taken effect, before it is answered.</summary>
    public event Action? Changed;

    /// <summary>The tokens by name, revoked ones included; derived ones until they expire.</summary>
    public IReadOnlyList<TokenRecord> All => [.. _snapshot.Entries.Select(e => e.Record with { LastUsedAt = e.LastUsedAt }).OrderBy(r => r.Name, StringComparer.Ordinal)];

    /// <summary>The roles as they are now.</summary>
    public RoleSet Roles => _snapshot.Roles;

    public TokenRecord? Find(string name) => _snapshot.Entries.FirstOrDefault(t => t.Record.Name == name)?.Record;

    /// <summary>What a token permits.</summary>
    public Grant GrantOf(TokenRecord record) => _snapshot.Find(record.Id)?.Caller.Grant ?? record.GrantUnder(Roles, within: null);

    /// <summary>Takes everything from the database: at start, or on the writer when it is not sure what was committed.</summary>
    public void Load(SqlSession session)
    {
        var records = TokenRecord.All(session, time.GetUtcNow());
        var stored = RoleStore.All(session);
        // What was committed before it is in it: applied late, it must not undo what came after.
        var order = NextOrder();
        lock (_swap)
        {
            _rolesOrder = order;
            _snapshot = _snapshot.With(_snapshot.Roles.WithStored(stored.Select(r => r.Options)), records, order);
        }
        Changed?.Invoke();
    }

    /// <summary>Makes the roles of the database take effect as they are now.</summary>
    /// <param name="stored">All of them.</param>
    /// <param name="order">Of <see cref="NextOrder"/>, taken in the transaction that wrote them: what is older than the last is not taken.</param>
    public void ApplyRoles(IEnumerable<StoredRole> stored, long order)
    {
        lock (_swap)
        {
            if (order < _rolesOrder) return;
            _rolesOrder = order;
            _snapshot = _snapshot.With(_snapshot.Roles.WithStored(stored.Select(r => r.Options)));
        }
        Changed?.Invoke();
    }

    /// <summary>A number for a change. Taken on the one writer, so that it is in the order of the commits.</summary>
    public long NextOrder() => Interlocked.Increment(ref _order);

    /// <summary>Makes committed changes take effect. Changes of one token may be applied in any order; the last written one stays.</summary>
    /// <returns>Whether <see cref="Changed"/> was called.</returns>
    public bool Apply(params IReadOnlyList<TokenChange> changes)
    {
        TokenSnapshot before;
        lock (_swap) _snapshot = (before = _snapshot).With(changes);
        // What only begins, or lives longer, ends nobody's connection.
        if (!changes.Any(c => before.RecordOf(c.Record.Id) is { } known && !c.Record.IsLonger(known))) return false;
        Changed?.Invoke();
        return true;
    }

    /// <summary>Drops derived tokens that have expired, or whose parents have ended, as nothing brings them back; and of created ones that have ended all but the newest.</summary>
    public void ForgetEnded()
    {
        var now = time.GetUtcNow();
        lock (_swap)
        {
            var snapshot = _snapshot;
            var ended = snapshot.Entries.Select(e => e.Record).Where(r => r.Parent is null && !snapshot.IsAlive(r, now)).ToList();
            var old = ended.Count <= TokenRecord.MaxEnded ? [] : ended.OrderByDescending(r => r.CreatedAt).Skip(TokenRecord.MaxEnded).Select(r => r.Id).ToHashSet(StringComparer.Ordinal);
            _snapshot = snapshot.Without(r => old.Contains(r.Id) || (r.Parent is not null && (r.ExpiresAt <= now || !TokenSnapshot.ParentsAccept(snapshot.RecordOf, r, now))));
        }
    }

    /// <summary>When tokens were used, of those where what was written down is older than <paramref name="grain"/>.</summary>
    public List<(string Id, long At)> UnsavedUsage(TimeSpan grain) =>
    [
        .. _snapshot.Entries
            .Where(e => e.Caller.Usage.LastUsedAt is var at and > 0 && at - e.Caller.Usage.SavedAt >= grain.TotalMilliseconds)
            .Select(e => (e.Record.Id, e.Caller.Usage.SavedAt = e.Caller.Usage.LastUsedAt)),
    ];

    /// <summary>Who holds this token now. Every failure looks the same outside; the reason is for the record.</summary>
    public Authentication Authenticate(ServiceToken token, IPAddress? address)
    {
        var snapshot = _snapshot;
        var entry = snapshot.Find(token.Id);
        var (record, now) = (entry?.Record, time.GetUtcNow());
        // The secret first: what else is wrong with a token is for nobody but its holder's records. An unknown id takes as long as a wrong secret.
        var isNewest = token.Matches(record?.Hash ?? s_nobody) && record is not null;
        if (!isNewest && !(record?.PreviousHash is { } previous && record.PreviousUntil > now && token.Matches(previous)))
            return new(null, "unknown");
        if (record!.RevokedAt is not null) return new(null, "revoked");
        if (record.ExpiresAt <= now) return new(null, "expired");
        if (!TokenSnapshot.ParentsAccept(snapshot.RecordOf, record, now)) return new(null, "parent-ended");
        // Who shows the old secret is one who ends with it.
        var caller = isNewest ? entry!.Caller : entry!.Previous!;
        if (caller.Grant.From(address) is not { } grant) return new(null, "address-not-allowed");
        caller.Usage.Used(now);
        return new(grant == caller.Grant ? caller : caller.With(grant));
    }

    /// <summary>Whether a caller's token is still what it was when the caller was identified, as this transaction sees it.</summary>
    public bool IsCurrent(SqlSession session, Caller caller) =>
        TokenRecord.FindById(session, caller.TokenId) is { } record && Accepts(id => TokenRecord.FindById(session, id), record, caller);

    /// <summary>What has become of a caller's token, as everybody sees it.</summary>
    public Standing StandingOf(Caller caller)
    {
        var snapshot = _snapshot;
        return snapshot.Find(caller.TokenId) is not { } entry || !Accepts(snapshot.RecordOf, entry.Record, caller) ? Standing.Ended
            : entry.Caller.Grant == (caller.Grant.Whole ?? caller.Grant) ? Standing.Current
            : Standing.OtherGrant;
    }

    private bool Accepts(Func<string, TokenRecord?> find, TokenRecord record, Caller caller)
    {
        var now = time.GetUtcNow();
        return record.Accepts(caller.Hash.Span, now) && TokenSnapshot.ParentsAccept(find, record, now);
    }
}
