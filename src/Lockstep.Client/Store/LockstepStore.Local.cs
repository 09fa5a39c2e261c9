using System.Text.Json;

namespace Lockstep.Client;

public sealed partial class LockstepStore
{
    private bool _isStatic;

    /// <summary>A store of fixed values for tests, without a server; <see cref="Replace"/> gives it others.</summary>
    /// <param name="values">Flat keys and their values.</param>
    /// <param name="secrets">The keys that count as secret; default none.</param>
    public static LockstepStore FromValues(IReadOnlyDictionary<string, string> values, IReadOnlyCollection<string>? secrets = null)
    {
        var store = new LockstepStore(TimeProvider.System, reportsByHand: true, connected: true) { _isStatic = true };
        store.Accept(Texts(values), secrets);
        return store;
    }

    /// <summary>Replaces the whole document of a store that <see cref="FromValues"/> made, as a server's change would.</summary>
    /// <exception cref="InvalidOperationException">The store follows something else.</exception>
    public void Replace(IReadOnlyDictionary<string, string> values, IReadOnlyCollection<string>? secrets = null)
    {
        if (!_isStatic) throw new InvalidOperationException("only a store made by FromValues has its values replaced");
        lock (_viewGate) Accept(Texts(values), secrets);
    }

    /// <summary>
    /// A store of a JSON file for development, without a server. Values may be flat (<c>{"db.host":"db1"}</c>) or nested (<c>{"db":{"host":"db1"}}</c>). A change of the file is
    /// seen within about half a second, whole: a file that is being written, or is no JSON, leaves the document as it is and is told by <see cref="Status"/>.
    /// </summary>
    /// <param name="path">The file; at most 1 MiB.</param>
    /// <exception cref="LockstepException">not-found or invalid-config: there is no such file, or it can't be read.</exception>
    public static LockstepStore FromFile(string path)
    {
        var file = new LocalFile(Path.GetFullPath(path));
        var store = new LockstepStore(TimeProvider.System, reportsByHand: true, connected: true);
        store.Accept(file.Read(), null);
        store._source = Task.Run(() => file.FollowAsync(
            values =>
            {
                if (values is not null) store.Accept(values, null);
                store.SetStatus(connected: file.Problem is null, file.Problem, fromCache: false);
            },
            store._time, store._ending.Token));
        return store;
    }

    private static Dictionary<string, JsonElement> Texts(IReadOnlyDictionary<string, string> values) =>
        values.ToDictionary(v => v.Key, v => LocalFile.Text(v.Value), StringComparer.Ordinal);

    private void Accept(Dictionary<string, JsonElement> values, IReadOnlyCollection<string>? secrets)
    {
        _current = new Snapshot
        {
            Release = (_current?.Release ?? 0) + 1,
            Commit = null,
            Service = "local",
            Environment = "local",
            Label = "local",
            Values = values.OrderBy(v => v.Key, StringComparer.Ordinal).ToDictionary(StringComparer.Ordinal),
            Secrets = [.. (secrets ?? []).Order(StringComparer.Ordinal)],
        };
        _announced ??= _current;
        _changes.Request();
    }
}
