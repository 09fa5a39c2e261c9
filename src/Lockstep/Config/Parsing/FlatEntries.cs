using System.Collections.Immutable;
using System.Text;

namespace Lockstep.Config.Parsing;

/// <summary>Collects the entries of one file document by document and holds the limits of the file as a whole.</summary>
internal sealed class FlatEntries
{
    private readonly List<PropertyEntry> _entries = [];
    private readonly Dictionary<string, int> _index = new(StringComparer.Ordinal);
    private int _keys;
    private long _characters;

    /// <summary>The line to name when a limit is passed, where the line of the entry itself is not the cause (an alias).</summary>
    public int? BlameLine { get; set; }

    public bool IsEmpty => _entries.Count == 0;

    /// <summary>The same flat key again replaces the earlier value.</summary>
    public void Add(string key, ScalarValue value, int line, int column)
    {
        Charge(key, value.Text, line);
        var entry = new PropertyEntry(key, value, line, column);
        if (_index.TryGetValue(key, out var at))
        {
            _entries[at] = entry;
            return;
        }
        _index.Add(key, _entries.Count);
        _entries.Add(entry);
    }

    /// <summary>Hands over the entries of the document and starts the next; the limits keep counting.</summary>
    public ImmutableArray<PropertyEntry> Take()
    {
        ImmutableArray<PropertyEntry> taken = [.. _entries];
        _entries.Clear();
        _index.Clear();
        return taken;
    }

    private void Charge(string key, string text, int line)
    {
        if (++_keys > ConfigLimits.KeysPerFile)
            throw new ConfigSyntaxException(BlameLine ?? line, $"the file comes to more than {ConfigLimits.KeysPerFile} keys{Aliases}");
        _characters += key.Length + text.Length;
        if (_characters > ConfigLimits.CharactersPerFile)
            throw new ConfigSyntaxException(BlameLine ?? line, $"the file comes to more than {ConfigLimits.CharactersPerFile} characters{Aliases}");
        if (!IsWellFormed(key) || !IsWellFormed(text))
            throw new ConfigSyntaxException(line, "the text holds half of a surrogate pair, which is no character");
    }

    private string Aliases => BlameLine is null ? "" : " after its aliases are expanded";

    private static bool IsWellFormed(string text)
    {
        var at = text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF');
        if (at < 0) return true;
        for (var rest = text.AsSpan(at); rest.Length > 0;)
        {
            if (Rune.DecodeFromUtf16(rest, out _, out var used) != System.Buffers.OperationStatus.Done) return false;
            rest = rest[used..];
        }
        return true;
    }
}
