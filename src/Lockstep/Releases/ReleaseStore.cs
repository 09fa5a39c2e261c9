using System.Collections.Immutable;
using Lockstep.Client;
using Lockstep.Secrets;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Releases;

/// <summary>Releases in the database: the state at any release, and the rows that a new one adds.</summary>
internal sealed class ReleaseStore(Database database)
{
    private const int StatesKept = 16;

    private readonly Lock _lock = new();
    private ImmutableQueue<ReleaseState> _past = [];

    /// <summary>The newest release; number 0 before the first.</summary>
    public Task<ReleaseState> NewestAsync(CancellationToken cancellationToken) =>
        database.ReadAsync(s => Load(s, Counters.Current(s, "release")), cancellationToken);

    /// <summary>The state at release <paramref name="number"/>, which must exist.</summary>
    public async Task<ReleaseState> AtAsync(long number, CancellationToken cancellationToken)
    {
        foreach (var past in Volatile.Read(ref _past))
            if (past.Number == number) return past;
        var state = await database.ReadAsync(s => Load(s, number), cancellationToken);
        lock (_lock)
        {
            var past = _past.Enqueue(state);
            if (past.Count() > StatesKept) past = past.Dequeue();
            Volatile.Write(ref _past, past);
        }
        return state;
    }

    /// <summary>Takes the number of <paramref name="next"/> from the locked counter row and writes what differs from <paramref name="old"/>.</summary>
    /// <exception cref="LockstepException">unavailable when another server has made a release meanwhile.</exception>
    public static void Advance(SqlSession session, ReleaseState old, ReleaseState next)
    {
        var taken = session.Execute(
            """
            INSERT INTO meta (name, number) VALUES ('release', @next)
            ON CONFLICT (name) DO UPDATE SET number = excluded.number WHERE meta.number = @old
            """, ("next", next.Number), ("old", old.Number));
        if (taken != 1)
            throw new LockstepException(ErrorCode.Unavailable, "another server has written to this database; try again");
        foreach (var name in old.Refs.Keys.Union(next.Refs.Keys, StringComparer.Ordinal))
        {
            var commit = next.Refs.GetValueOrDefault(name);
            if (commit == old.Refs.GetValueOrDefault(name)) continue;
            session.Execute("INSERT INTO refs (name, release, commit_id) VALUES (@name, @release, @commit)",
                ("name", name), ("release", next.Number), ("commit", commit));
        }
        foreach (var id in next.ActivatedSince(old))
            session.Execute("INSERT INTO activations (secret, release, version) VALUES (@secret, @release, @version)",
                ("secret", id.Value), ("release", next.Number), ("version", next.ActiveVersion(id)));
        foreach (var pin in Changed(old.Pins, next.Pins))
            session.Execute("INSERT INTO pins (service, environment, release, target) VALUES (@service, @environment, @release, @target)",
                ("service", pin.Service), ("environment", pin.Environment), ("release", next.Number),
                ("target", next.Pins.TryGetValue(pin, out var target) ? target : null));
        if (next.Shape.Hash != old.Shape.Hash || old.Number == 0)
            session.Execute("INSERT INTO shapes (release, hash, settings) VALUES (@release, @hash, @settings)",
                ("release", next.Number), ("hash", next.Shape.Hash), ("settings", next.Shape.Settings));
    }

    public static void WriteJournal(SqlSession session, long? release, string kind, string actor, DateTimeOffset at, string? message) =>
        session.Execute("INSERT INTO journal (seq, release, kind, actor, at, message) VALUES (@seq, @release, @kind, @actor, @at, @message)",
            ("seq", Counters.Next(session, "journal")), ("release", release), ("kind", kind), ("actor", actor),
            ("at", at.ToUnixTimeMilliseconds()), ("message", message));

    private static IEnumerable<TKey> Changed<TKey, TValue>(ImmutableDictionary<TKey, TValue> old, ImmutableDictionary<TKey, TValue> next)
        where TKey : notnull
    {
        if (ReferenceEquals(old, next)) return [];
        return old.Where(o => !next.TryGetValue(o.Key, out var n) || !Equals(n, o.Value)).Select(o => o.Key)
            .Concat(next.Where(n => !old.ContainsKey(n.Key)).Select(n => n.Key));
    }

    private static ReleaseState Load(SqlSession session, long number)
    {
        if (number == 0) return new ReleaseState(0, default);
        var at = session.First("SELECT at FROM journal WHERE release = @n", r => r.GetInt64(0), ("n", number));
        return new ReleaseState(number, DateTimeOffset.FromUnixTimeMilliseconds(at))
        {
            Refs = session.Query(
                """
                SELECT t.name, t.commit_id FROM refs t
                JOIN (SELECT name, MAX(release) AS release FROM refs WHERE release <= @n GROUP BY name) l
                ON l.name = t.name AND l.release = t.release WHERE t.commit_id IS NOT NULL
                """, r => KeyValuePair.Create(r.GetString(0), r.GetString(1)), ("n", number)).ToImmutableDictionary(StringComparer.Ordinal),
            Active = session.Query(
                """
                SELECT t.secret, t.version FROM activations t
                JOIN (SELECT secret, MAX(release) AS release FROM activations WHERE release <= @n GROUP BY secret) l
                ON l.secret = t.secret AND l.release = t.release WHERE t.version IS NOT NULL
                """, r => KeyValuePair.Create(SecretId.Parse(r.GetString(0)), r.GetInt32(1)), ("n", number)).ToImmutableDictionary(),
            Pins = session.Query(
                """
                SELECT t.service, t.environment, t.target FROM pins t
                JOIN (SELECT service, environment, MAX(release) AS release FROM pins WHERE release <= @n GROUP BY service, environment) l
                ON l.service = t.service AND l.environment = t.environment AND l.release = t.release WHERE t.target IS NOT NULL
                """, r => KeyValuePair.Create(new PinKey(r.GetString(0), r.GetString(1)), r.GetInt64(2)), ("n", number)).ToImmutableDictionary(),
            Shape = DocumentShape.Parse(
                session.First("SELECT settings FROM shapes WHERE release <= @n ORDER BY release DESC LIMIT 1", r => r.GetString(0), ("n", number))!),
        };
    }
}
