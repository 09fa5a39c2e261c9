using System.Globalization;

namespace Lockstep.Config.Parsing;

/// <summary>Reads logical characters of a <c>.properties</c> file: escapes decoded, continued lines joined, line ends as <c>\n</c>.</summary>
internal sealed class PropertiesReader(string text)
{
    private const int End = -1;

    private readonly string _text = text.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
    private int _next;
    private int _line = 1;
    private int _lineBegin;
    private bool _lineStart = true;
    private bool _escaped;

    public int Character { get; private set; }

    /// <summary>The line of <see cref="Character"/>, from 1.</summary>
    public int Line { get; private set; } = 1;

    /// <summary>The column of <see cref="Character"/>, from 1.</summary>
    public int Column { get; private set; } = 1;

    public bool AtEndOfLine => Character == End || (!_escaped && Character == '\n');

    public bool AtSpace => !_escaped && Character is ' ' or '\t' or '\f';

    public bool AtDelimiter => !_escaped && Character is '=' or ':';

    public bool AtComma => !_escaped && Character == ',';

    /// <summary>Whether a comment starts here; to be asked at the start of a line.</summary>
    public bool AtComment => !_escaped && Character is '#' or '!';

    public bool Read()
    {
        _escaped = false;
        var start = _lineStart;
        Next();
        while (start && AtSpace) Next();
        // A loop, not a recursion: a file may be nothing but continued lines.
        while (Character == '\\')
        {
            Next();
            if (Character != '\n')
            {
                Unescape();
                return Character != End;
            }
            Next();
            while (AtSpace) Next();
        }
        return Character != End;
    }

    /// <summary>Reads to the end of the comment; true when it is a document separator.</summary>
    public bool SkipComment()
    {
        var start = _next - 1;
        var end = _text.IndexOf('\n', start);
        if (end < 0) end = _text.Length;
        var atColumn0 = start == 0 || _text[start - 1] == '\n';
        var separator = atColumn0 && _text.AsSpan(start + 1, end - start - 1).TrimEnd(" \t\f") is "---";
        _next = end;
        Next();
        return separator;
    }

    private void Next()
    {
        Line = _line;
        Column = _next - _lineBegin + 1;
        if (_next >= _text.Length)
        {
            Character = End;
            return;
        }
        Character = _text[_next++];
        _lineStart = Character == '\n';
        if (_lineStart) (_line, _lineBegin) = (_line + 1, _next);
    }

    private void Unescape()
    {
        _escaped = true;
        Character = Character switch
        {
            't' => '\t',
            'r' => '\r',
            'n' => '\n',
            'f' => '\f',
            'u' => Unicode(),
            _ => Character,
        };
        _lineStart = false;
    }

    private int Unicode()
    {
        if (_next + 4 > _text.Length || !int.TryParse(_text.AsSpan(_next, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code))
            throw new ConfigSyntaxException(_line, "A \\u escape needs four hexadecimal digits.");
        _next += 4;
        return code;
    }
}
