using System.Collections.Immutable;
using System.Text;

namespace Lockstep.Config.Placeholders;

/// <summary>
/// Expands the values of one document against each other. Each key is worked out once, and every character that is put together counts, so that
/// neither a bomb of placeholders nor its failed attempts cost more than a few times the largest document.
/// </summary>
internal sealed class PlaceholderExpander(SortedDictionary<string, MergedEntry> entries, int charactersPerValue = ConfigLimits.CharactersPerValue)
{
    private const int MaxMessages = 100;
    private const long MaxWork = 4L * ConfigLimits.CharactersPerDocument;

    private readonly Dictionary<string, Slot> _slots = new(StringComparer.Ordinal);
    private readonly List<Slot> _stack = [];
    private readonly List<ConfigError> _errors = [];
    private readonly List<ConfigError> _warnings = [];
    private long _work;
    private bool _stopped;

    public ResolvedConfig Expand() => Expand(entries.Keys);

    /// <summary>Expands only these keys, which must be among the entries, and what they lead to.</summary>
    public ResolvedConfig Expand(IReadOnlyCollection<string> keys)
    {
        var values = ImmutableArray.CreateBuilder<ResolvedEntry>(keys.Count);
        var characters = 0L;
        foreach (var key in keys)
        {
            if (_stopped || _errors.Count >= MaxMessages) break;
            var entry = entries[key];
            // Nearly every value stands for itself: nothing is kept about how it was found.
            if ((IsPlain(entry) ? entry.Scalar : Evaluate(key)) is not { } value) continue;
            characters += Length(value);
            if (characters > ConfigLimits.CharactersPerDocument) Stop(new Slot(key, entry));
            values.Add(new ResolvedEntry(key, value, entry.Location));
        }
        return _errors.Count > 0
            ? new ResolvedConfig([], [.. _errors], [.. _warnings])
            : new ResolvedConfig(values.DrainToImmutable(), [], [.. _warnings]);
    }

    private bool IsPlain(MergedEntry entry) =>
        entry.Value.Text.Length <= charactersPerValue && (entry.Value.Kind != ScalarKind.String || TemplateParser.IsPlain(entry.Value.Text));

    /// <summary>The value of a key of the document; null when it has none, the reason being in the errors.</summary>
    private ConfigValue? Evaluate(string key)
    {
        if (!_slots.TryGetValue(key, out var slot))
        {
            slot = new Slot(key, entries[key]);
            _slots.Add(key, slot);
            Work(slot);
        }
        else if (!slot.Done)
        {
            return Cycle(slot);
        }
        if (_stack.Count == 0) return slot.Value;
        var reader = _stack[^1];
        reader.Depth = Math.Max(reader.Depth, slot.Depth + 1);
        if (reader.Depth <= ConfigLimits.PlaceholderDepth) return slot.Value;
        return slot.Value is null ? null : Fail(reader, $"placeholders lead through more than {ConfigLimits.PlaceholderDepth} keys");
    }

    private void Work(Slot slot)
    {
        var (kind, text) = slot.Entry.Value;
        if (kind != ScalarKind.String || TemplateParser.IsPlain(text))
        {
            slot.Value = text.Length <= charactersPerValue ? slot.Entry.Scalar : TooLong(slot);
            slot.Done = true;
            return;
        }
        if (_stack.Count > ConfigLimits.PlaceholderDepth)
        {
            Fail(_stack[0], $"placeholders lead through more than {ConfigLimits.PlaceholderDepth} keys");
            slot.Done = true;
            return;
        }
        _stack.Add(slot);
        try
        {
            slot.Value = Whole(slot, TemplateParser.Parse(text));
        }
        catch (TemplateException e)
        {
            Fail(slot, e.Message);
        }
        finally
        {
            _stack.RemoveAt(_stack.Count - 1);
            slot.Done = true;
        }
    }

    /// <summary>A single piece keeps the type and the references of what it stands for; anything else becomes text.</summary>
    private ConfigValue? Whole(Slot slot, ImmutableArray<Piece> pieces)
    {
        if (pieces.Length == 1) return Single(slot, pieces[0]);
        var text = new TextBuilder();
        foreach (var piece in pieces)
        {
            if (Single(slot, piece) is not { } value) return null;
            var length = Length(value);
            if (text.Length + length > charactersPerValue) return TooLong(slot);
            _work += length;
            if (_work > MaxWork) return Stop(slot);
            text.Append(value, length);
        }
        return text.ToValue();
    }

    private ConfigValue? Single(Slot slot, Piece piece) => piece switch
    {
        Piece.Literal literal => Text(literal.Text),
        Piece.Reference reference => new ConfigValue.Secret(reference.Ref),
        Piece.Placeholder placeholder => Lookup(slot, placeholder),
        _ => throw new InvalidOperationException("Unknown piece."),
    };

    private ConfigValue? Lookup(Slot slot, Piece.Placeholder placeholder)
    {
        // Spring's order: a key that is spelled with the colon comes before the default.
        if (placeholder.Default is not null && placeholder.Source[2..^1].Trim() is var whole && entries.ContainsKey(whole)) return Evaluate(whole);
        if (Whole(slot, placeholder.Name) is not { } name) return null;
        if (name is not ConfigValue.Scalar scalar) return Fail(slot, "the name of a placeholder is built from a secret; that would show it to whoever reads the file");
        var key = scalar.Value.Text.Trim();
        if (entries.ContainsKey(key)) return Evaluate(key);
        if (placeholder.Default is { } otherwise) return Whole(slot, otherwise);
        if (_warnings.Count < MaxMessages)
            _warnings.Add(new ConfigError(slot.Entry.Location, slot.Key, $"the placeholder '{Shorten(placeholder.Source)}' names no key of this document and stays as text"));
        return Text(placeholder.Source);
    }

    private ConfigValue? Cycle(Slot first)
    {
        var from = _stack.IndexOf(first);
        var chain = string.Join(" → ", _stack.Skip(from).Select(s => $"{s.Key} ({s.Entry.Location})"));
        return Fail(first, $"placeholders go round in a circle: {chain} → {first.Key}");
    }

    private ConfigValue? TooLong(Slot slot) =>
        Fail(slot, $"the value has more than {charactersPerValue} characters after its placeholders are expanded");

    private ConfigValue? Stop(Slot slot)
    {
        if (_stopped) return null;
        _stopped = true;
        return Fail(slot, $"the document has more than {ConfigLimits.CharactersPerDocument} characters after its placeholders are expanded");
    }

    private ConfigValue? Fail(Slot slot, string message)
    {
        _errors.Add(new ConfigError(slot.Entry.Location, slot.Key, message));
        return null;
    }

    private static ConfigValue.Scalar Text(string text) => new(new ScalarValue(ScalarKind.String, text));

    /// <summary>References count as one character: what they bring is limited where secrets are kept.</summary>
    private static int Length(ConfigValue value) => value switch
    {
        ConfigValue.Scalar scalar => scalar.Value.Text.Length,
        ConfigValue.Text text => text.Parts.Sum(p => p.Literal?.Length ?? 1),
        _ => 1,
    };

    private static string Shorten(string text) => text.Length <= 100 ? text : text[..100] + "…";

    private sealed class Slot(string key, MergedEntry entry)
    {
        public string Key { get; } = key;

        public MergedEntry Entry { get; } = entry;

        public ConfigValue? Value { get; set; }

        public bool Done { get; set; }

        /// <summary>Through how many keys the value was found.</summary>
        public int Depth { get; set; }
    }

    private sealed class TextBuilder
    {
        private readonly ImmutableArray<TextPart>.Builder _parts = ImmutableArray.CreateBuilder<TextPart>();
        private readonly StringBuilder _literal = new();

        public int Length { get; private set; }

        public void Append(ConfigValue value, int length)
        {
            Length += length;
            switch (value)
            {
                case ConfigValue.Scalar scalar:
                    _literal.Append(scalar.Value.Text);
                    break;
                case ConfigValue.Secret secret:
                    Append(new TextPart(null, secret.Ref));
                    break;
                case ConfigValue.Text text:
                    foreach (var part in text.Parts) Append(part);
                    break;
            }
        }

        public ConfigValue ToValue()
        {
            Flush();
            return _parts.Any(p => p.Ref is not null) ? new ConfigValue.Text(_parts.ToImmutable()) : Text(string.Concat(_parts.Select(p => p.Literal)));
        }

        private void Append(TextPart part)
        {
            if (part.Ref is null)
            {
                _literal.Append(part.Literal);
                return;
            }
            Flush();
            _parts.Add(part);
        }

        private void Flush()
        {
            if (_literal.Length == 0) return;
            _parts.Add(new TextPart(_literal.ToString(), null));
            _literal.Clear();
        }
    }
}
