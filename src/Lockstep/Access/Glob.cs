using System.Diagnostics.CodeAnalysis;

namespace Lockstep.Access;

/// <summary>
/// A pattern over names and paths: <c>*</c> is anything within a segment, <c>**</c> anything across segments, <c>?</c> one character other
/// than <c>/</c>; a leading or inner <c>**/</c> is any number of whole segments, none included. Everything else stands for itself. Matching
/// costs at most text × pattern steps, whatever the pattern.
/// </summary>
internal sealed class Glob
{
    public const int MaxLength = 255;

    private enum Kind : byte { Literal, One, Star, Deep, SegmentsEnter, SegmentsLoop }

    private readonly record struct Token(Kind Kind, char Char = '\0');

    private readonly string _text;
    private readonly Token[] _tokens;
    private readonly string? _literal;
    private readonly string? _prefixOfDeep;

    private Glob(string text)
    {
        _text = text;
        _tokens = Tokenize(text);
        MatchesEverything = _tokens is [{ Kind: Kind.Deep }];
        MatchesEveryName = MatchesEverything || _tokens is [{ Kind: Kind.Star }];
        if (_tokens.All(t => t.Kind == Kind.Literal))
            _literal = text;
        else if (_tokens[^1].Kind == Kind.Deep && _tokens[..^1].All(t => t.Kind == Kind.Literal))
            _prefixOfDeep = new string([.. _tokens[..^1].Select(t => t.Char)]);
    }

    /// <summary>Whether it matches every name without <c>/</c>.</summary>
    public bool MatchesEveryName { get; }

    /// <summary>Whether it matches everything.</summary>
    public bool MatchesEverything { get; }

    public static bool TryParse(string? text, [NotNullWhen(true)] out Glob? glob)
    {
        glob = null;
        if (string.IsNullOrEmpty(text) || text.Length > MaxLength || text.Any(char.IsControl)) return false;
        glob = new Glob(text);
        return true;
    }

    public bool Matches(ReadOnlySpan<char> text)
    {
        if (MatchesEverything) return true;
        if (MatchesEveryName) return !text.Contains('/');
        if (_literal is not null) return text.SequenceEqual(_literal);
        if (_prefixOfDeep is not null) return text.StartsWith(_prefixOfDeep, StringComparison.Ordinal);
        // The set of pattern positions that the text so far can have reached.
        Span<bool> now = stackalloc bool[_tokens.Length + 1];
        Span<bool> next = stackalloc bool[_tokens.Length + 1];
        now.Clear();
        Enter(now, 0);
        foreach (var c in text)
        {
            next.Clear();
            var any = false;
            for (var i = 0; i < _tokens.Length; i++)
            {
                if (!now[i]) continue;
                any |= Step(next, i, c);
            }
            if (!any) return false;
            var swap = now;
            now = next;
            next = swap;
        }
        return now[_tokens.Length];
    }

    /// <summary>Whether everything that <paramref name="inner"/> matches is matched by <paramref name="outer"/> too. Errs to false.</summary>
    public static bool Covers(Glob outer, Glob inner)
    {
        var (o, n) = (outer._tokens, inner._tokens);
        // covers[i, j]: the outer pattern from i on matches whatever the inner one from j on does.
        var covers = new bool[o.Length + 1, n.Length + 1];
        for (var j = n.Length; j >= 0; j--)
            for (var i = o.Length; i >= 0; i--)
                covers[i, j] = i == o.Length ? j == n.Length : CoversFrom(covers, o, n, i, j);
        return covers[0, 0];
    }

    public override string ToString() => _text;

    private static bool CoversFrom(bool[,] covers, Token[] outer, Token[] inner, int i, int j)
    {
        var atEnd = j == inner.Length;
        var token = atEnd ? default : inner[j];
        // "Any number of segments" is two tokens that are taken together.
        var after = j + (token.Kind == Kind.SegmentsEnter ? 2 : 1);
        return outer[i].Kind switch
        {
            Kind.Deep => covers[i + 1, j] || (!atEnd && covers[i, after]),
            Kind.Star => covers[i + 1, j] || (!atEnd && IsWithinSegment(token, Kind.Star) && covers[i, after]),
            Kind.One => !atEnd && IsWithinSegment(token, Kind.One) && covers[i + 1, after],
            Kind.SegmentsEnter => covers[i + 2, j] || covers[i + 1, j] || (!atEnd && token.Kind == Kind.SegmentsEnter && covers[i, after]),
            Kind.SegmentsLoop => !atEnd && (covers[i, after] || (token == new Token(Kind.Literal, '/') && covers[i - 1, after])),
            _ => !atEnd && token == outer[i] && covers[i + 1, after],
        };
    }

    private static bool IsWithinSegment(Token token, Kind widest) => token.Kind switch
    {
        Kind.Literal => token.Char != '/',
        Kind.One => true,
        Kind.Star => widest == Kind.Star,
        _ => false,
    };

    private bool Step(Span<bool> next, int i, char c)
    {
        switch (_tokens[i].Kind)
        {
            case Kind.Literal when c == _tokens[i].Char:
            case Kind.One when c != '/':
                Enter(next, i + 1);
                return true;
            case Kind.Star when c != '/':
            case Kind.Deep:
                Enter(next, i);
                return true;
            case Kind.SegmentsLoop:
                next[i] = true;
                if (c == '/') Enter(next, i + 1);
                return true;
            default:
                return false;
        }
    }

    /// <summary>Marks a position and those that are reached from it without a character.</summary>
    private void Enter(Span<bool> positions, int i)
    {
        while (!positions[i])
        {
            positions[i] = true;
            if (i == _tokens.Length) return;
            switch (_tokens[i].Kind)
            {
                case Kind.Star or Kind.Deep:
                    i++;
                    break;
                case Kind.SegmentsEnter:
                    positions[i + 1] = true;
                    i += 2;
                    break;
                default:
                    return;
            }
        }
    }

    private static Token[] Tokenize(string text)
    {
        var tokens = new List<Token>(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '?')
            {
                tokens.Add(new(Kind.One));
                continue;
            }
            if (text[i] != '*')
            {
                tokens.Add(new(Kind.Literal, text[i]));
                continue;
            }
            var start = i;
            while (i + 1 < text.Length && text[i + 1] == '*') i++;
            if (i == start)
            {
                tokens.Add(new(Kind.Star));
            }
            else if (i + 1 < text.Length && text[i + 1] == '/' && (start == 0 || text[start - 1] == '/'))
            {
                tokens.Add(new(Kind.SegmentsEnter));
                tokens.Add(new(Kind.SegmentsLoop));
                i++;
            }
            else
            {
                tokens.Add(new(Kind.Deep));
            }
        }
        return [.. tokens];
    }
}
