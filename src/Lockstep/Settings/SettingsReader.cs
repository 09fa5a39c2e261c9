using Lockstep.Client;

namespace Lockstep.Settings;

/// <summary>
/// Reads one mapping of the settings key by key, overrides first. What is asked for is what is known: <see cref="Done"/> reports the rest.
/// A wrong value is reported where it stands and reads as absent.
/// </summary>
internal sealed class SettingsReader
{
    private readonly string? _file;
    private readonly SettingsMapping? _mapping;
    private readonly string _path;
    private readonly SettingsOverrides? _overrides;
    private readonly SettingsErrors _errors;
    private readonly List<string> _asked = [];

    private SettingsReader(string? file, SettingsMapping? mapping, string path, SettingsOverrides? overrides, SettingsErrors errors) =>
        (_file, _mapping, _path, _overrides, _errors) = (file, mapping, path, overrides, errors);

    public static SettingsReader Root(string? file, SettingsMapping? mapping, SettingsOverrides overrides, SettingsErrors errors) =>
        new(file, mapping, "", overrides, errors);

    public string? File => _file;

    /// <summary>The line the mapping stands on; null when it is not in the file.</summary>
    public int? Line => _mapping?.Line;

    public string? Text(string key)
    {
        if (Override(key, out var text, out _)) return text;
        switch (Node(key))
        {
            case null or SettingsScalar { IsNull: true }:
                return null;
            case SettingsScalar scalar:
                return scalar.Text;
            case var other:
                Fail(key, $"is {other.Kind}; it must be a single value");
                return null;
        }
    }

    /// <summary>A path made absolute: relative to the file's folder when it stands in the file, else to the working directory.</summary>
    public string? Path(string key)
    {
        if (Text(key) is not { } text) return null;
        if (text.Length > 0 && !text.Contains('\0')) return Absolute(key, text);
        Fail(key, "must be a path");
        return null;
    }

    public string Absolute(string key, string path) =>
        System.IO.Path.GetFullPath(path, Override(key, out _, out _) || _file is null
            ? Environment.CurrentDirectory
            : System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(_file))!);

    public bool Flag(string key, bool absent)
    {
        switch (Text(key))
        {
            case null: return absent;
            case "true": return true;
            case "false": return false;
            default:
                Fail(key, "must be true or false");
                return absent;
        }
    }

    /// <summary>The single values under a key by their flat keys, <c>a.b[0]</c>, in the order of the file. Overrides do not reach them.</summary>
    public IEnumerable<KeyValuePair<string, string>> Flat(string key) =>
        Mapping(key) is { } mapping ? Flat(mapping, "") : [];

    public TimeSpan Duration(string key, TimeSpan absent, TimeSpan min, TimeSpan max)
    {
        if (Text(key) is not { } text) return absent;
        if (!Durations.TryParse(text, out var duration)) Fail(key, $"must be {Durations.Words}");
        else if (duration < min || duration > max) Fail(key, $"must be from {Durations.Format(min)} to {Durations.Format(max)}");
        else return duration;
        return absent;
    }

    /// <summary>A list of single values; a variable or flag separates them with commas. Null when absent.</summary>
    public IReadOnlyList<string>? Texts(string key)
    {
        if (Override(key, out var text, out _)) return text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        switch (Node(key))
        {
            case null or SettingsScalar { IsNull: true }:
                return null;
            case SettingsSequence sequence when sequence.Items.All(i => i is SettingsScalar { IsNull: false }):
                return [.. sequence.Items.Cast<SettingsScalar>().Select(s => s.Text)];
            case var other:
                Fail(key, other is SettingsSequence ? "each of its items must be a single value" : $"is {other.Kind}; it must be a list, such as [a, b]");
                return null;
        }
    }

    /// <summary>A list of single values, or one that stands for itself. Null when absent.</summary>
    public IReadOnlyList<string>? TextOrTexts(string key) => Node(key) is SettingsScalar { IsNull: false } scalar ? [scalar.Text] : Texts(key);

    /// <summary>The mapping under a key, an empty one when it is absent: overrides may fill it.</summary>
    public SettingsReader Section(string key) => Inside(key, Mapping(key), _overrides);

    /// <summary>Whether the file holds anything under the key.</summary>
    public bool Has(string key) => Node(key) is not (null or SettingsScalar { IsNull: true });

    /// <summary>The mappings under a key by names that the user chooses. Overrides do not reach them.</summary>
    public IEnumerable<(string Name, SettingsReader Reader)> Named(string key)
    {
        if (Mapping(key) is not { } mapping) yield break;
        foreach (var (name, node) in mapping.Entries)
        {
            if (node is SettingsMapping inner) yield return (name, Inside($"{key}.{name}", inner, null));
            else _errors.Add(_file, node.Line, Full($"{key}.{name}"), $"is {node.Kind}; it must be a mapping");
        }
    }

    /// <summary>The mappings of a list. Overrides do not reach them.</summary>
    public IEnumerable<SettingsReader> Items(string key)
    {
        var node = Node(key);
        if (node is null or SettingsScalar { IsNull: true }) yield break;
        if (node is not SettingsSequence sequence)
        {
            Fail(key, $"is {node.Kind}; it must be a list of mappings");
            yield break;
        }
        for (var i = 0; i < sequence.Items.Count; i++)
        {
            if (sequence.Items[i] is SettingsMapping mapping) yield return Inside($"{key}[{i}]", mapping, null);
            else _errors.Add(_file, sequence.Items[i].Line, Full($"{key}[{i}]"), $"is {sequence.Items[i].Kind}; it must be a mapping");
        }
    }

    /// <summary>Reports what is wrong with a key's value, where it was given. The message holds no value that may be secret.</summary>
    public void Fail(string key, string message)
    {
        if (Override(key, out _, out var source)) _errors.Add(source, null, Full(key), message);
        else _errors.Add(_file, Node(key)?.Line ?? Line, Full(key), message);
    }

    /// <summary>Reports the keys that nobody asked for.</summary>
    public void Done()
    {
        foreach (var (key, node) in _mapping?.Entries ?? new Dictionary<string, SettingsNode>(StringComparer.Ordinal))
        {
            if (_asked.Contains(key)) continue;
            var hint = Nearest.To(key, _asked) is { } near ? $"did you mean '{near}'?" : "there are " + string.Join(", ", _asked.Order(StringComparer.Ordinal));
            _errors.Add(_file, node.Line, Full(key), $"is not a setting; {hint}");
        }
    }

    private static IEnumerable<KeyValuePair<string, string>> Flat(SettingsNode node, string path) => node switch
    {
        SettingsMapping mapping => mapping.Entries.SelectMany(e => Flat(e.Value, path.Length == 0 ? e.Key : $"{path}.{e.Key}")),
        SettingsSequence sequence => sequence.Items.SelectMany((item, i) => Flat(item, $"{path}[{i}]")),
        SettingsScalar scalar => [new(path, scalar.IsNull ? "" : scalar.Text)],
        _ => [],
    };

    private SettingsReader Inside(string key, SettingsMapping? mapping, SettingsOverrides? overrides) => new(_file, mapping, Full(key), overrides, _errors);

    private SettingsMapping? Mapping(string key)
    {
        var node = Node(key);
        if (node is null or SettingsMapping or SettingsScalar { IsNull: true }) return node as SettingsMapping;
        Fail(key, $"is {node.Kind}; it must be a mapping");
        return null;
    }

    private SettingsNode? Node(string key)
    {
        if (!_asked.Contains(key)) _asked.Add(key);
        return _mapping?.Entries.GetValueOrDefault(key);
    }

    private bool Override(string key, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out string? value, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out string? source)
    {
        if (!_asked.Contains(key)) _asked.Add(key);
        (value, source) = (null, null);
        return _overrides is not null && _overrides.TryGet(Full(key), out value, out source);
    }

    private string Full(string key) => _path.Length == 0 ? key : $"{_path}.{key}";
}
