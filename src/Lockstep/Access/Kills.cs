using System.Collections.Immutable;
using System.Data.Common;
using Lockstep.Storage;

namespace Lockstep.Access;

/// <summary>Which tokens a kill is about. What is null does not narrow it; services and environments narrow it together.</summary>
internal sealed record KillScope
{
    private static readonly ImmutableArray<string?> s_any = [null];

    public string? Issuer { get; init; }

    /// <summary>A subject of <see cref="Issuer"/>.</summary>
    public string? Subject { get; init; }

    public ImmutableArray<string>? Services { get; init; }

    public ImmutableArray<string>? Environments { get; init; }

    /// <summary>Whether a token is in it: one that could be used for one of the services in one of the environments, or that the issuer issued.</summary>
    public bool Holds(Grant grant, Issuance? issued) =>
        (Issuer is null || (issued?.Issuer == Issuer && (Subject is null || issued.Subject == Subject))) && Reaches(grant);

    public override string ToString() => (Issuer, Subject, Services, Environments) is (null, null, null, null)
        ? "everything"
        : string.Join(", ", new[] { Part("issuer", Issuer), Part("subject", Subject), Part("services", Join(Services)), Part("environments", Join(Environments)) }.OfType<string>());

    private bool Reaches(Grant grant)
    {
        foreach (var service in Services is { } services ? services.CastArray<string?>() : s_any)
            foreach (var environment in Environments is { } environments ? environments.CastArray<string?>() : s_any)
                if (grant.Roles.Any(r => r.Names(service, environment))) return true;
        return false;
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
    /// <param name="spared">The id of the caller's own token.</param>
    public static Kill Write(SqlSession session, KillScope scope, DateTimeOffset at, string spared)
    {
        var kill = new Kill(Counters.Next(session, "kills"), at, scope, spared);
        session.Execute(
            "INSERT INTO kills (seq, at, issuer, subject, services, environments, spared) VALUES (@seq, @at, @issuer, @subject, @services, @environments, @spared)",
            ("seq", kill.Seq), ("at", at.ToUnixTimeMilliseconds()), ("issuer", scope.Issuer), ("subject", scope.Subject),
            ("services", Text(scope.Services)), ("environments", Text(scope.Environments)), ("spared", spared));
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
            if (issued.At <= kill.At + s_skew && kill.Spared != caller.TokenId && kill.Scope.Holds(caller.Grant.Whole ?? caller.Grant, issued)) return true;
        return false;
    }

    private static List<Kill> Read(SqlSession session, long since) => session.Query(
        "SELECT seq, at, issuer, subject, services, environments, spared FROM kills WHERE at >= @since ORDER BY seq DESC", Read, ("since", since));

    private static Kill Read(DbDataReader row) => new(
        row.GetInt64(0),
        row.Time(1),
        new KillScope { Issuer = row.TextOrNull(2), Subject = row.TextOrNull(3), Services = Names(row.TextOrNull(4)), Environments = Names(row.TextOrNull(5)) },
        row.TextOrNull(6));

    // Names hold no space.
    private static string? Text(ImmutableArray<string>? names) => names is { } some ? string.Join(' ', some) : null;

    private static ImmutableArray<string>? Names(string? text) => text is null ? null : [.. text.Split(' ')];
}

/// <summary>A kill as it is kept. <paramref name="Spared"/>: the id of the one who called for it.</summary>
internal sealed record Kill(long Seq, DateTimeOffset At, KillScope Scope, string? Spared);
