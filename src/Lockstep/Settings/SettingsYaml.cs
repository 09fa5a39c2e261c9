using Lockstep.Client;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Lockstep.Settings;

/// <summary>Reads <c>server.yaml</c> as a tree with lines: one document, no tags, anchors or aliases, no key twice.</summary>
internal sealed class SettingsYaml
{
    /// <summary>The largest settings file, in characters.</summary>
    public const int MaxLength = 1024 * 1024;
    private const int MaxDepth = 16;

    private readonly string _file;
    private readonly IParser _parser;
    private readonly SettingsErrors _errors;

    private SettingsYaml(string file, IParser parser, SettingsErrors errors) => (_file, _parser, _errors) = (file, parser, errors);

    /// <summary>The top mapping; an empty one when the text is empty or can't be read, which is then among the errors.</summary>
    public static SettingsMapping Read(string file, string text, SettingsErrors errors)
    {
        var empty = new SettingsMapping(1, new Dictionary<string, SettingsNode>(StringComparer.Ordinal));
        if (text.Length > MaxLength)
        {
            errors.Add(file, null, null, $"is longer than {MaxLength} characters");
            return empty;
        }
        try
        {
            using var reader = new StringReader(text);
            return new SettingsYaml(file, new Parser(reader), errors).Document() ?? empty;
        }
        catch (Exception e) when (e is YamlException or InvalidOperationException or ArgumentException)
        {
            // The parser's message may quote the file; the line is enough to find it. Some broken texts end it in other exceptions, without a line.
            errors.Add(file, (int?)(e as YamlException)?.Start.Line, null, "is not well-formed YAML here");
            return empty;
        }
    }

    private SettingsMapping? Document()
    {
        _parser.Consume<StreamStart>();
        if (_parser.Accept<StreamEnd>(out _)) return null;
        _parser.Consume<DocumentStart>();
        var root = Node(key: null, depth: 0);
        _parser.Consume<DocumentEnd>();
        if (_parser.Accept<DocumentStart>(out var second)) Fail(second, null, "only one YAML document is allowed");
        switch (root)
        {
            case SettingsMapping mapping:
                return mapping;
            case SettingsScalar { IsNull: true }:
                return null;
            default:
                _errors.Add(_file, root.Line, null, $"the settings are a mapping of keys, not {root.Kind}");
                return null;
        }
    }

    private SettingsNode Node(string? key, int depth)
    {
        var next = _parser.Consume<ParsingEvent>();
        var line = (int)next.Start.Line;
        if (next is NodeEvent { Anchor.IsEmpty: false } or AnchorAlias) Fail(next, key, "anchors and aliases are not allowed here");
        if (next is NodeEvent { Tag.IsEmpty: false }) Fail(next, key, "tags are not allowed here");
        if (depth > MaxDepth) throw new SemanticErrorException(next.Start, next.End, "Too deep.");
        switch (next)
        {
            case Scalar scalar:
                return new SettingsScalar(line, scalar.Value, scalar.Style == ScalarStyle.Plain);
            case SequenceStart:
                var items = new List<SettingsNode>();
                while (!_parser.TryConsume<SequenceEnd>(out _)) items.Add(Node(key, depth + 1));
                return new SettingsSequence(line, items);
            case MappingStart:
                return new SettingsMapping(line, Entries(key, depth));
            default:
                return new SettingsScalar(line, "", IsPlain: true);
        }
    }

    private Dictionary<string, SettingsNode> Entries(string? parent, int depth)
    {
        var entries = new Dictionary<string, SettingsNode>(StringComparer.Ordinal);
        while (!_parser.TryConsume<MappingEnd>(out _))
        {
            if (!_parser.TryConsume<Scalar>(out var name))
            {
                Fail(_parser.Current!, parent, "a key must be a single value");
                throw new SemanticErrorException(_parser.Current!.Start, _parser.Current.End, "Not a key.");
            }
            var key = parent is null ? name.Value : $"{parent}.{name.Value}";
            var value = Node(key, depth + 1);
            if (!entries.TryAdd(name.Value, value)) Fail(name, key, $"is there twice; the first is on line {entries[name.Value].Line}");
        }
        return entries;
    }

    private void Fail(ParsingEvent at, string? key, string message) => _errors.Add(_file, (int)at.Start.Line, key, message);
}

/// <summary>Everything that is wrong with the settings, gathered before anything is refused.</summary>
internal sealed class SettingsErrors
{
    private const int MaxErrors = 100;
    private readonly List<ProblemError> _errors = [];

    public void Add(string? file, int? line, string? key, string message)
    {
        if (_errors.Count < MaxErrors) _errors.Add(new ProblemError { File = file, Line = line, Key = key, Message = message });
    }

    /// <exception cref="LockstepException">invalid-config when there is any.</exception>
    public void ThrowIfAny()
    {
        if (_errors.Count == 0) return;
        throw new LockstepException(ErrorCode.InvalidConfig, "the settings are not valid:") { Errors = _errors };
    }
}
