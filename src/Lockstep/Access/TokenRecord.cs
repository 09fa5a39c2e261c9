using System.Data.Common;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Access;

/// <summary>A row of the table <c>tokens</c>. Lists are kept as they were given; null: the token does not narrow its role there.</summary>
internal sealed record TokenRecord
{
    /// <summary>How many that have ended are kept in memory; the others are in the table.</summary>
    public const int MaxEnded = 10_000;

    private const string Columns =
        "id, name, hash, previous_hash, previous_until, parent, role, services, environments, secrets, cidrs, created_at, created_by, expires_at, revoked_at, "
        + "parent_hash, renew_for, renew_until, last_used_at, root";

    public required string Id { get; init; }

    public required string Name { get; init; }

    public required byte[] Hash { get; init; }

    /// <summary>The hash of the secret before the last roll, which holds until <see cref="PreviousUntil"/>.</summary>
    public byte[]? PreviousHash { get; init; }

    public DateTimeOffset? PreviousUntil { get; init; }

    /// <summary>The id of the token that this one was derived from.</summary>
    public string? Parent { get; init; }

    /// <summary>The hash of the parent's secret that it was derived with: when that is not accepted any more, this one is dead too.</summary>
    public byte[]? ParentHash { get; init; }

    /// <summary>The id of the created token that it derives from through all others.</summary>
    public string? Root { get; init; }

    /// <summary>For how long a renewal makes it live; null: it can't be renewed.</summary>
    public TimeSpan? RenewFor { get; init; }

    /// <summary>The end that no renewal goes beyond.</summary>
    public DateTimeOffset? RenewUntil { get; init; }

    /// <summary>When it was used last, as far as that was written down; what is newer is in <see cref="TokenUsage"/>.</summary>
    public DateTimeOffset? LastUsedAt { get; init; }

    public required string Role { get; init; }

    public IReadOnlyList<string>? Services { get; init; }

    public IReadOnlyList<string>? Environments { get; init; }

    public IReadOnlyList<string>? Secrets { get; init; }

    public IReadOnlyList<string>? Cidrs { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required string CreatedBy { get; init; }

    public DateTimeOffset? ExpiresAt { get; init; }

    public DateTimeOffset? RevokedAt { get; init; }

    public override string ToString() => $"{Name} ({Id})";

    /// <summary>Those that live, and of those that were created and have ended, and whose name nobody has taken again, the newest.</summary>
    public static List<TokenRecord> All(SqlSession session, DateTimeOffset now)
    {
        var all = session.Query($"SELECT {Columns} FROM tokens WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > @now)", Read, ("now", Millis(now)));
        all.AddRange(session.Query(
            $"SELECT {Columns} FROM tokens WHERE parent IS NULL AND (revoked_at IS NOT NULL OR expires_at <= @now) AND name NOT LIKE '% (%' ORDER BY created_at DESC LIMIT @limit", Read,
            ("now", Millis(now)), ("limit", MaxEnded)));
        return all;
    }

    public static TokenRecord? Find(SqlSession session, string name) =>
        session.First($"SELECT {Columns} FROM tokens WHERE name = @name", Read, ("name", name));

    public static TokenRecord? FindById(SqlSession session, string id) =>
        session.First($"SELECT {Columns} FROM tokens WHERE id = @id", Read, ("id", id));

    /// <summary>Deletes tokens that have expired so long ago that nothing is on the record of them any more.</summary>
    public static void DeleteExpired(SqlSession session, DateTimeOffset before) =>
        session.Execute("DELETE FROM tokens WHERE expires_at <= @before", ("before", Millis(before)));

    /// <summary>Frees the name of a token that has expired. The row stays: by it is known what its holder was given.</summary>
    public static void FreeName(SqlSession session, TokenRecord ended) =>
        session.Execute("UPDATE tokens SET name = @name WHERE id = @id", ("id", ended.Id), ("name", $"{ended.Name} ({ended.Id})"));

    /// <summary>Inserts the row, or changes what can change of it.</summary>
    public void Save(SqlSession session) => session.Execute(
        $"""
        INSERT INTO tokens ({Columns})
        VALUES (@id, @name, @hash, @previous_hash, @previous_until, @parent, @role, @services, @environments, @secrets, @cidrs,
          @created_at, @created_by, @expires_at, @revoked_at, @parent_hash, @renew_for, @renew_until, @last_used_at, @root)
        ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, previous_hash = excluded.previous_hash,
          previous_until = excluded.previous_until, expires_at = excluded.expires_at, revoked_at = excluded.revoked_at
        """,
        ("id", Id), ("name", Name), ("hash", Hash), ("previous_hash", PreviousHash), ("previous_until", Millis(PreviousUntil)), ("parent", Parent),
        ("role", Role), ("services", Json(Services)), ("environments", Json(Environments)), ("secrets", Json(Secrets)), ("cidrs", Json(Cidrs)),
        ("created_at", Millis(CreatedAt)), ("created_by", CreatedBy), ("expires_at", Millis(ExpiresAt)), ("revoked_at", Millis(RevokedAt)),
        ("parent_hash", ParentHash), ("renew_for", (long?)RenewFor?.TotalMilliseconds), ("renew_until", Millis(RenewUntil)), ("last_used_at", Millis(LastUsedAt)), ("root", Root));

    /// <summary>Notes when tokens were used.</summary>
    public static void SaveUsage(SqlSession session, IEnumerable<(string Id, long At)> used)
    {
        foreach (var (id, at) in used) session.Execute("UPDATE tokens SET last_used_at = @at WHERE id = @id", ("id", id), ("at", at));
    }

    /// <summary>The token's own narrowing, or what is wrong with it.</summary>
    public static (TokenLimits Limits, string? Error) Limits(
        IReadOnlyList<string>? services, IReadOnlyList<string>? environments, IReadOnlyList<string>? secrets, IReadOnlyList<string>? cidrs)
    {
        string? error = null;
        GlobSet? Globs(string name, IReadOnlyList<string>? patterns)
        {
            if (patterns is null) return null;
            var (set, wrong) = GlobSet.From(patterns);
            if (patterns.Count == 0) wrong = "is empty, so the token could reach nothing; leave it out for no limit";
            if (wrong is not null) error ??= $"{name}: {wrong}";
            return set;
        }

        var (networks, networkError) = cidrs is null ? ([], null) : Networks.Parse(cidrs);
        var limits = new TokenLimits
        {
            Services = Globs("services", services),
            Environments = Globs("environments", environments),
            Secrets = Globs("secrets", secrets),
            Cidrs = networks,
        };
        if (networkError is not null) error ??= $"cidrs: {networkError}";
        return (limits, error);
    }

    /// <summary>What the token permits under these roles; a derived one, <paramref name="within"/> its parent. A row that does not read as limits permits nothing.</summary>
    public Grant GrantUnder(RoleSet roles, Grant? within)
    {
        var (limits, error) = Limits(Services, Environments, Secrets, Cidrs);
        return error is null
            ? new Grant(roles.Find(Role) ?? Access.Role.Missing(Role), limits, within)
            : new Grant(Access.Role.Missing(Role), TokenLimits.None, within);
    }

    /// <summary>Whether it has not ended, and a secret with that hash is accepted.</summary>
    public bool Accepts(ReadOnlySpan<byte> hash, DateTimeOffset now, bool newestOnly = false) =>
        RevokedAt is null && !(ExpiresAt <= now) && (Same(Hash, hash) || (!newestOnly && PreviousUntil > now && Same(PreviousHash, hash)));

    /// <summary>Whether nothing has changed since then but that it may live longer.</summary>
    public bool IsLonger(TokenRecord before) =>
        RevokedAt == before.RevokedAt && PreviousUntil == before.PreviousUntil && Same(Hash, before.Hash) && !(ExpiresAt < before.ExpiresAt) && (before.ExpiresAt is not null || ExpiresAt is null);

    /// <summary>What it is, for the record: names and patterns, bounded by what a token may have of them.</summary>
    public string Describe()
    {
        var parts = new List<string?>
        {
            $"token {Id}, role {Role}", Part("derived from token", Parent), Part("services", Join(Services)), Part("environments", Join(Environments)), Part("secrets", Join(Secrets)),
            Part("cidrs", Join(Cidrs)), Part("expires", $"{ExpiresAt:u}"), Part("the secret before it until", $"{PreviousUntil:u}"),
        };
        return string.Join(", ", parts.OfType<string>());

        static string? Part(string name, string? text) => string.IsNullOrEmpty(text) ? null : $"{name} {text}";
        static string? Join(IReadOnlyList<string>? list) => list is null ? null : string.Join(' ', list);
    }

    // Hashes of tokens are no secrets, but nothing is lost by comparing them as such.
    private static bool Same(byte[]? a, ReadOnlySpan<byte> b) => a is not null && CryptographicOperations.FixedTimeEquals(a, b);

    private static TokenRecord Read(DbDataReader row) => new()
    {
        Id = row.GetString(0),
        Name = row.GetString(1),
        Hash = row.GetFieldValue<byte[]>(2),
        PreviousHash = row.IsDBNull(3) ? null : row.GetFieldValue<byte[]>(3),
        PreviousUntil = Time(row, 4),
        Parent = Text(row, 5),
        Role = row.GetString(6),
        Services = List(row, 7),
        Environments = List(row, 8),
        Secrets = List(row, 9),
        Cidrs = List(row, 10),
        CreatedAt = Time(row, 11)!.Value,
        CreatedBy = row.GetString(12),
        ExpiresAt = Time(row, 13),
        RevokedAt = Time(row, 14),
        ParentHash = row.IsDBNull(15) ? null : row.GetFieldValue<byte[]>(15),
        RenewFor = row.IsDBNull(16) ? null : TimeSpan.FromMilliseconds(row.GetInt64(16)),
        RenewUntil = Time(row, 17),
        LastUsedAt = Time(row, 18),
        Root = Text(row, 19),
    };

    private static string? Text(DbDataReader row, int column) => row.IsDBNull(column) ? null : row.GetString(column);

    private static DateTimeOffset? Time(DbDataReader row, int column) =>
        row.IsDBNull(column) ? null : DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(column));

    private static long? Millis(DateTimeOffset? time) => time?.ToUnixTimeMilliseconds();

    private static List<string>? List(DbDataReader row, int column) =>
        row.IsDBNull(column) ? null : JsonSerializer.Deserialize(row.GetString(column), AccessJson.Default.ListString);

    private static string? Json(IReadOnlyList<string>? list) =>
        list is null ? null : JsonSerializer.Serialize([.. list], AccessJson.Default.ListString);
}

[JsonSerializable(typeof(List<string>))]
internal sealed partial class AccessJson : JsonSerializerContext;
