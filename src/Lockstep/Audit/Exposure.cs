using System.Globalization;
using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>
/// What tokens were given, by the record: entry by entry, in pages, in bounded memory. An entry stands for a disclosure when it was allowed, names secrets and is no write: a new way to a
/// value is counted without being listed here.
/// </summary>
internal sealed class Exposure(Database database)
{
    public const int MaxItems = 5000;
    public const int MaxListed = 100;

    private const int MaxTokens = 100_000;
    private const int PageSize = 1000;

    // Characters of all names in the lists together.
    private const int MaxText = 8 * 1024 * 1024;

    private static readonly HashSet<string> s_writes = new(["secret.write", "secret.stage", "secret.activate", "secret.delete", "secret.purge", "secret.restore"], StringComparer.Ordinal);

    /// <summary>Whether the entry says that secret values left.</summary>
    public static bool IsDisclosure(AuditEntry entry) => entry.Decision == AuditEntry.Allowed && entry.Secrets.Count > 0 && !s_writes.Contains(entry.Action);

    /// <summary>What the tokens of these ids, and those derived from them at any depth, were given since then.</summary>
    public async Task<ExposureReport> OfAsync(IReadOnlyCollection<string> ids, DateTimeOffset? since, CancellationToken cancellationToken)
    {
        var (tokens, truncated) = await WithDerivedAsync(ids, cancellationToken);
        var tally = new Tally { Truncated = truncated };
        foreach (var token in tokens)
        {
            var after = new AuditCursor(since?.ToUnixTimeMilliseconds() ?? long.MinValue, "", 0);
            for (List<AuditRecord> page; (page = await PageAsync(token, after, cancellationToken)).Count > 0; after = page[^1].Position)
                foreach (var record in page)
                    if (record.Parse() is { } entry && IsDisclosure(entry)) tally.Add(entry);
        }
        return tally.ToReport();
    }

    /// <summary>
    /// The ids that a text stands for, the newest first: itself when it is one; else those of all tokens that have that name or had it, also when they ended, and of
    /// <paramref name="subjects"/> those that the record names. None: nobody is known by it.
    /// </summary>
    public Task<IReadOnlyList<string>> IdsAsync(string text, IReadOnlyList<string> subjects, CancellationToken cancellationToken) => database.ReadAsync<IReadOnlyList<string>>(session =>
    {
        // First, so that nobody can hide what an id was given by making a token of that name.
        if (IsNamed(session, text) || session.First("SELECT 1 FROM tokens WHERE id = @id", r => r.GetInt64(0), ("id", text)) == 1) return [text];
        // An ended token whose name was taken again is kept as NAME (ID).
        var named = session.Query(
            "SELECT id FROM tokens WHERE name = @name OR name = @name || ' (' || id || ')' ORDER BY created_at DESC, id LIMIT @limit", r => r.GetString(0), ("name", text), ("limit", MaxTokens));
        return [.. named, .. subjects.Where(s => IsNamed(session, s))];
    }, cancellationToken);

    private static bool IsNamed(SqlSession session, string id) =>
        session.First("SELECT 1 FROM audit WHERE token = @token LIMIT 1", r => r.GetInt64(0), ("token", id)) == 1;

    private Task<List<AuditRecord>> PageAsync(string token, AuditCursor after, CancellationToken cancellationToken) => database.ReadAsync(
        session => session.Query(
            "SELECT node, seq, at, entry FROM audit WHERE token = @token AND (at, node, seq) > (@at, @node, @seq) ORDER BY at, node, seq LIMIT @limit",
            AuditQuery.Read, ("token", token), ("at", after.At), ("node", after.Node), ("seq", after.Seq), ("limit", PageSize)),
        cancellationToken);

    // By the list of tokens, and by the record: those that ended may be gone from the list.
    private async Task<(List<string> Tokens, bool Truncated)> WithDerivedAsync(IReadOnlyCollection<string> ids, CancellationToken cancellationToken)
    {
        var listed = (await database.ReadAsync(
            s => s.Query("SELECT parent, id FROM tokens WHERE parent IS NOT NULL", r => (Parent: r.GetString(0), Id: r.GetString(1))), cancellationToken)).ToLookup(t => t.Parent, t => t.Id, StringComparer.Ordinal);
        var all = new List<string>(ids.Distinct(StringComparer.Ordinal));
        var seen = all.ToHashSet(StringComparer.Ordinal);
        for (var i = 0; i < all.Count; i++)
        {
            var parent = all[i];
            var entered = await database.ReadAsync(
                s => s.Query("SELECT DISTINCT token FROM audit WHERE parent = @parent AND token IS NOT NULL LIMIT @limit", r => r.GetString(0), ("parent", parent), ("limit", MaxTokens)), cancellationToken);
            foreach (var child in listed[parent].Concat(entered))
            {
                if (!seen.Add(child)) continue;
                if (all.Count >= MaxTokens) return (all, true);
                all.Add(child);
            }
        }
        return (all, all.Count >= MaxTokens);
    }

    private sealed class Tally
    {
        private readonly Dictionary<(string Secret, int Version), Item> _items = [];
        private readonly HashSet<string> _names = new(StringComparer.Ordinal);
        private int _text;

        public bool Truncated { get; set; }

        public void Add(AuditEntry entry)
        {
            foreach (var secret in entry.Secrets)
            {
                var at = secret.LastIndexOf('@');
                if (at < 0 || !int.TryParse(secret.AsSpan(at + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var version)) continue;
                var key = (secret[..at], version);
                if (!_items.TryGetValue(key, out var item))
                {
                    if (Truncated |= _items.Count >= MaxItems) continue;
                    _items[key] = item = new Item { First = entry.At, Last = entry.At };
                }
                item.Count += entry.Count;
                if (entry.At < item.First) item.First = entry.At;
                if (entry.At > item.Last) item.Last = entry.At;
                foreach (var instance in entry.Instances) List(item, item.Instances, instance);
                List(item, item.Routes, entry.Route);
                List(item, item.Addresses, entry.Address);
                // Watchers from too many addresses are entered without.
                item.More |= entry is { Address: null, Count: > 1, Action: "config.watch" };
            }
        }

        public ExposureReport ToReport() => new()
        {
            Items =
            [
                .. _items.OrderBy(i => i.Key.Secret, StringComparer.Ordinal).ThenBy(i => i.Key.Version).Select(i => new ExposedSecret
                {
                    Secret = i.Key.Secret,
                    Version = i.Key.Version,
                    First = i.Value.First,
                    Last = i.Value.Last,
                    Count = i.Value.Count,
                    Instances = [.. i.Value.Instances],
                    Routes = [.. i.Value.Routes],
                    Addresses = [.. i.Value.Addresses],
                    More = i.Value.More,
                }),
            ],
            Truncated = Truncated,
        };

        // A name that many items have is held once.
        private void List(Item item, SortedSet<string> list, string? name)
        {
            if (name is null || list.Contains(name)) return;
            if (list.Count >= MaxListed || _text + name.Length > MaxText)
            {
                item.More = true;
                return;
            }
            _text += name.Length;
            if (!_names.TryGetValue(name, out var shared)) _names.Add(shared = name);
            list.Add(shared);
        }
    }

    private sealed class Item
    {
        public required DateTimeOffset First { get; set; }

        public required DateTimeOffset Last { get; set; }

        public long Count { get; set; }

        public bool More { get; set; }

        public SortedSet<string> Instances { get; } = new(StringComparer.Ordinal);

        public SortedSet<string> Routes { get; } = new(StringComparer.Ordinal);

        public SortedSet<string> Addresses { get; } = new(StringComparer.Ordinal);
    }
}
