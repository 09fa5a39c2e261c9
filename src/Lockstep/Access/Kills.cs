using System.Collections.Immutable;
using System.Data.Common;
using Lockstep.Storage;

namespace Lockstep.Access;

/// <summary>Which tokens a kill is about. What is null does not narrow it; services and environments narrow it together.</summary>
internal sealed record KillScope
{
    public string? Issuer { get; init; }

    /// <summary>A subject of <see cref="Issuer"/>.</summary>
    public string? Subject { get; init; }

    public ImmutableArray<string>? Services { get; init; }

    public ImmutableArray<string>? Environments { get; init; }

    /// <summary>Whether a service token is in it: one that could be used for one of the services in one of the environments.</summary>
    public bool Holds(Grant grant) => Issuer is null && grant.Roles.Any(Reaches);

    /// <summary>Whether it says of which issuer's tokens it is about, and that is another.</summary>
    public bool IsOfOther(Issuance issued) => Issuer is not null && (issued.Issuer != Issuer || (Subject is not null && issued.Subject != Subject));

    public override string ToString() => (Issuer, Subject, Services, Environments) is (null, null, null, null)
        ? "everything"
        : string.Join(", ", new[] { Part("issuer", Issuer), Part("subject", Subject), Part("services", Join(Services)), Part("environments", Join(Environments)) }.OfType<string>());

    /// <summary>Whether a role, as a token narrows it, could be used for one of the services in one of the environments.</summary>
    public bool Reaches(RoleGrant role)
    {
        // The two are independent of each other.
        return (Services is not { } services || services.Any(s => role.Names(s, null))) && (Environments is not { } environments || environments.Any(e => role.Names(null, e)));
    }

    private static string? Join(ImmutableArray<string>? names) => names is { } some ? string.Join(" ", some) : null;

    private static string? Part(string name, string? value) => value is null ? null : $"{name} {value}";
}

/// <summary>
/// Kills that reach tokens of issuers. Those are in no table here, so a kill is kept and asked at each use: what was issued up to then is dead, and what is issued
/// later is not. In memory as one immutable list, newest first.
/// </summary>
internal sealed class Kills
{
    /// <summary>By how much the clocks of issuers may differ: within it, a token counts as issued before.</summary>
    private static readonly TimeSpan s_skew = TimeSpan.FromSeconds(30);

    private readonly Lock _swap = new();
    private volatile Kill[] _all = [];

    public void Load(SqlSession session) => _all = [.. Read(session, 0)];

    /// <summary>Writes a kill; it takes effect with <see cref="Apply"/>.</summary>
    /// <param name="session">A write.</param>
    /// <param name="scope">Which tokens.</param>
    /// <param name="at">Until when issued.</param>
    /// <param name="spared">Who calls: its token lives on.</param>
    /// <param name="roles">The roles as they are: what becomes of one later revives nobody.</param>
    public static Kill Write(SqlSession session, KillScope scope, DateTimeOffset at, Caller spared, RoleSet roles)
    {
        var reached = roles.All.Where(r => scope.Reaches(new RoleGrant(r, TokenLimits.None))).Select(r => r.Name);
        var kill = new Kill(Counters.Next(session, "kills"), at, scope, spared.TokenId, [.. reached]) { SparedAt = spared.Issued?.At };
        session.Execute(
            "INSERT INTO kills (seq, at, issuer, subject, services, environments, spared, spared_at, roles) VALUES (@seq, @at, @issuer, @subject, @services, @environments, @spared, @spared_at, @roles)",
            ("seq", kill.Seq), ("at", at.ToUnixTimeMilliseconds()), ("issuer", scope.Issuer), ("subject", scope.Subject),
            ("services", Text(scope.Services)), ("environments", Text(scope.Environments)), ("spared", kill.Spared), ("spared_at", kill.SparedAt?.ToUnixTimeMilliseconds()), ("roles", Text(kill.Roles)));
        return kill;
    }

    public void Apply(Kill kill)
    {
        lock (_swap) _all = [.. _all.Append(kill).OrderByDescending(k => k.Seq)];
    }

    /// <summary>Whether a kill ended this token of an issuer.</summary>
    public bool Reach(Caller caller) => Reaches(_all, caller);

    /// <summary>The same as this transaction sees it.</summary>
    public static bool Reach(SqlSession session, Caller caller) =>
        caller.Issued is { } issued && Reaches(Read(session, (issued.At - s_skew).ToUnixTimeMilliseconds()), caller);

    private static bool Reaches(IEnumerable<Kill> kills, Caller caller)
    {
        if (caller.Issued is not { } issued) return false;
        foreach (var kill in kills)
            if (issued.At <= kill.At + s_skew && !(kill.Spared == caller.TokenId && kill.SparedAt?.ToUnixTimeMilliseconds() == issued.At.ToUnixTimeMilliseconds()) && !kill.Scope.IsOfOther(issued) && IsReached(kill, caller.Grant, issued)) return true;
        return false;

        // By what it could do wherever it is used from, when it was killed or now.
        static bool IsReached(Kill kill, Grant grant, Issuance issued) =>
            (grant.Whole ?? grant).Roles.Any(kill.Scope.Reaches) || issued.Rules.Any(r => kill.Roles.Contains(r.Role, StringComparer.Ordinal));
    }

    private static List<Kill> Read(SqlSession session, long since) => session.Query(
        "SELECT seq, at, issuer, subject, services, environments, spared, roles, spared_at FROM kills WHERE at >= @since ORDER BY seq DESC", Read, ("since", since));

    private static Kill Read(DbDataReader row) => new(
        row.GetInt64(0),
        row.Time(1),
        new KillScope { Issuer = row.TextOrNull(2), Subject = row.TextOrNull(3), Services = Names(row.TextOrNull(4)), Environments = Names(row.TextOrNull(5)) },
        row.TextOrNull(6),
        Names(row.TextOrNull(7)) ?? [])
    {
        SparedAt = row.TimeOrNull(8),
    };

    // Names hold no space.
    private static string? Text(ImmutableArray<string>? names) => names is { } some ? string.Join(' ', some) : null;

    private static ImmutableArray<string>? Names(string? text) => text is null ? null : [.. text.Split(' ')];
}

/// <summary>A kill as it is kept. <paramref name="Spared"/>: the id of the one who called for it; <paramref name="Roles"/>: those that could be used in its scope then.</summary>
internal sealed record Kill(long Seq, DateTimeOffset At, KillScope Scope, string? Spared, ImmutableArray<string> Roles)
{
    /// <summary>When the token of an issuer that is spared was issued: others of its subject are not.</summary>
    public DateTimeOffset? SparedAt { get; init; }
}
