using System.Collections.Immutable;
using System.Text;

namespace Lockstep.Config.Placeholders;

/// <summary>
/// Parses <c>${name}</c>, <c>${name:default}</c>, <c>${secret:ID}</c> and the literal <c>\${</c>. Braces inside a placeholder must balance, as in Spring; a
/// placeholder that is never closed is text, and so is what follows it.
/// </summary>
internal static class TemplateParser
{
    private const string Open = "${";
    private const string SecretPrefix = "secret:";

    public static bool IsPlain(string text) => !text.Contains(Open, StringComparison.Ordinal);

    public static ImmutableArray<Piece> Parse(string text) => Parse(text, 0);

    /// <summary>The text with only its references to secrets taken out, in placeholders too; all else, placeholders and escapes among it, stands as written.</summary>
    public static ImmutableArray<TextPart> References(string text)
    {
        var parts = ImmutableArray.CreateBuilder<TextPart>();
        var around = new Stack<int>();
        var (taken, position) = (0, 0);
        for (int start; (start = text.IndexOf(Open, position, StringComparison.Ordinal)) >= 0;)
        {
            position = start + Open.Length;
            if (start > 0 && text[start - 1] == '\\') continue;
            var end = Close(text, position);
            if (end < 0)
            {
                RefuseReference(text.AsSpan(start));
                break;
            }
            while (around.TryPeek(out var outer) && outer < start) around.Pop();
            around.Push(end);
            // Each level reads what is in it once more.
            if (around.Count > ConfigLimits.PlaceholderDepth) throw new TemplateException($"placeholders nest deeper than {ConfigLimits.PlaceholderDepth} levels");
            var content = text[position..end].Trim();
            if (!content.StartsWith(SecretPrefix, StringComparison.Ordinal)) continue;
            if (start > taken) parts.Add(new TextPart(text[taken..start], null));
            parts.Add(new TextPart(null, SecretReference.Parse(content[SecretPrefix.Length..])));
            taken = position = end + 1;
        }
        if (taken < text.Length) parts.Add(new TextPart(text[taken..], null));
        return parts.ToImmutable();
    }

    private static ImmutableArray<Piece> Parse(string text, int depth)
    {
        if (depth > ConfigLimits.PlaceholderDepth) throw new TemplateException($"placeholders nest deeper than {ConfigLimits.PlaceholderDepth} levels");
        var pieces = ImmutableArray.CreateBuilder<Piece>();
        var literal = new StringBuilder();
        var position = 0;
        while (position < text.Length)
        {
            var start = text.IndexOf(Open, position, StringComparison.Ordinal);
            if (start < 0) break;
            if (start > position && text[start - 1] == '\\')
            {
                literal.Append(text, position, start - 1 - position).Append(Open);
                position = start + Open.Length;
                continue;
            }
            var end = Close(text, start + Open.Length);
            if (end < 0)
            {
                RefuseReference(text.AsSpan(start));
                break;
            }
            literal.Append(text, position, start - position);
            Flush();
            pieces.Add(Placeholder(text[start..(end + 1)], depth));
            position = end + 1;
        }
        literal.Append(text, position, text.Length - position);
        Flush();
        return pieces.ToImmutable();

        void Flush()
        {
            if (literal.Length == 0) return;
            pieces.Add(new Piece.Literal(literal.ToString()));
            literal.Clear();
        }
    }

    private static Piece Placeholder(string source, int depth)
    {
        var content = source[Open.Length..^1];
        var trimmed = content.Trim();
        if (trimmed.StartsWith(SecretPrefix, StringComparison.Ordinal))
            return new Piece.Reference(SecretReference.Parse(trimmed[SecretPrefix.Length..]));
        var colon = Colon(content);
        return colon < 0
            ? new Piece.Placeholder(source, Parse(content, depth + 1), null)
            : new Piece.Placeholder(source, Parse(content[..colon], depth + 1), Parse(content[(colon + 1)..], depth + 1));
    }

    private static int Close(string text, int from)
    {
        var nested = 0;
        for (var i = from; i < text.Length; i++)
        {
            if (text[i] == '{') nested++;
            else if (text[i] == '}' && nested-- == 0) return i;
        }
        return -1;
    }

    /// <summary>The first colon that is not inside a nested placeholder.</summary>
    private static int Colon(string content)
    {
        var nested = 0;
        for (var i = 0; i < content.Length; i++)
        {
            if (content[i] == '{') nested++;
            else if (content[i] == '}') nested--;
            else if (content[i] == ':' && nested == 0) return i;
        }
        return -1;
    }

    private static void RefuseReference(ReadOnlySpan<char> rest)
    {
        if (rest.Contains(Open + SecretPrefix, StringComparison.Ordinal))
            throw new TemplateException("a reference to a secret, or a placeholder around it, is not closed with '}'");
    }
}
