namespace Lockstep.Access;

/// <summary>The tokens and roles at one moment. Immutable.</summary>
internal sealed class TokenSnapshot
{
    private readonly Dictionary<string, TokenEntry> _byId;
    private readonly Dictionary<string, TokenEntry>.AlternateLookup<ReadOnlySpan<char>> _lookup;

    public TokenSnapshot(RoleSet roles, Dictionary<string, TokenEntry> byId)
    {
        (Roles, _byId) = (roles, byId);
        _lookup = byId.GetAlternateLookup<ReadOnlySpan<char>>();
        RecordOf = id => _byId.GetValueOrDefault(id)?.Record;
    }

    public RoleSet Roles { get; }

    public IReadOnlyCollection<TokenEntry> Entries => _byId.Values;

    /// <summary>A token's record by its id.</summary>
    public Func<string, TokenRecord?> RecordOf { get; }

    public TokenEntry? Find(ReadOnlySpan<char> id) => _lookup.TryGetValue(id, out var entry) ? entry : null;

    /// <summary>Whether it is accepted from somebody who has its newest text.</summary>
    public bool IsAlive(TokenRecord record, DateTimeOffset now) => record.RevokedAt is null && !(record.ExpiresAt <= now) && ParentsAccept(RecordOf, record, now);

    /// <summary>Whether all that a token derives from accept the text that it was derived with.</summary>
    public static bool ParentsAccept(Func<string, TokenRecord?> find, TokenRecord record, DateTimeOffset now)
    {
        for (var depth = 0; record.Parent is { } id; depth++)
        {
            if (depth >= TokenTable.MaxDepth || find(id) is not { } parent || !parent.Accepts(record.ParentHash, now)) return false;
            record = parent;
        }
        return true;
    }

    /// <summary>The same tokens under other roles.</summary>
    public TokenSnapshot With(RoleSet roles) => With(roles, [.. Entries.Select(e => e.Record)]);

    /// <summary>These tokens, as the database has them; <paramref name="order"/>: since when, null when nothing new is known of them.</summary>
    public TokenSnapshot With(RoleSet roles, IReadOnlyList<TokenRecord> records, long? order = null)
    {
        var all = records.ToDictionary(r => r.Id, StringComparer.Ordinal);
        var next = new TokenSnapshot(roles, new(StringComparer.Ordinal));
        foreach (var record in records) Add(record);
        return next;

        // Parents first: a derived token's grant lies within its parent's.
        TokenEntry Add(TokenRecord record)
        {
            if (next._byId.TryGetValue(record.Id, out var done)) return done;
            var parent = record.Parent is { } id && all.TryGetValue(id, out var of) ? Add(of) : null;
            return next._byId[record.Id] = Entry(roles, record, parent, order ?? Find(record.Id)?.Order ?? 0);
        }
    }

    /// <summary>These changes made, as far as nothing newer is known of their tokens.</summary>
    public TokenSnapshot With(IReadOnlyList<TokenChange> changes)
    {
        var next = new TokenSnapshot(Roles, new(_byId, StringComparer.Ordinal));
        foreach (var change in changes)
        {
            if (next.Find(change.Record.Id) is { } known && known.Order > change.Order) continue;
            var parent = change.Record.Parent is { } id ? next.Find(id) : null;
            next._byId[change.Record.Id] = Entry(Roles, change.Record, parent, change.Order);
            if (change.Replaced is not null) next._byId.Remove(change.Replaced);
        }
        return next;
    }

    /// <summary>All but some.</summary>
    public TokenSnapshot Without(Predicate<TokenRecord> ended) =>
        _byId.Values.Any(e => ended(e.Record)) ? new(Roles, _byId.Where(e => !ended(e.Value.Record)).ToDictionary(StringComparer.Ordinal)) : this;

    // What did not change stays the same object: who compares sees by that that it did not.
    private TokenEntry Entry(RoleSet roles, TokenRecord record, TokenEntry? parent, long order)
    {
        var known = Find(record.Id)?.Caller;
        var grant = known is not null && IsSame(known.Grant, roles.Find(record.Role), parent?.Caller.Grant) ? known.Grant : record.GrantUnder(roles, parent?.Caller.Grant);
        var usage = known?.Usage ?? parent?.Caller.Usage.Derived() ?? new TokenUsage();
        return new(record, order, MakeCaller(record.Hash), record.PreviousHash is { } previous ? MakeCaller(previous) : null);

        Caller MakeCaller(byte[] hash) => new()
        {
            TokenId = record.Id,
            Name = record.Name,
            Parent = record.Parent,
            Root = record.Root ?? record.Id,
            ExpiresAt = record.ExpiresAt,
            Hash = hash,
            Grant = grant,
            Usage = usage,
        };
    }

    // Of one token nothing but its role, and what its parent may, can change.
    private static bool IsSame(Grant grant, Role? role, Grant? within) => role is not null && grant.Roles is [var only] && ReferenceEquals(only.Role, role) && grant.Within == within;
}

/// <param name="Record">The token.</param>
/// <param name="Order">When it was written.</param>
/// <param name="Caller">Who shows its newest secret.</param>
/// <param name="Previous">Who shows the one before, while that holds.</param>
internal sealed record TokenEntry(TokenRecord Record, long Order, Caller Caller, Caller? Previous)
{
    /// <summary>When it was used last, here or by what was written down.</summary>
    public DateTimeOffset? LastUsedAt => Caller.Usage.LastUsedAt is > 0 and var at ? DateTimeOffset.FromUnixTimeMilliseconds(at) : Record.LastUsedAt;
}
