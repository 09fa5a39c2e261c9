using System.Collections.Immutable;

namespace Lockstep.Config.Parsing;

/// <summary>
/// A profile expression in the syntax of Spring's <c>Profiles.of</c>: names with <c>!</c>, <c>&amp;</c>, <c>|</c> and parentheses; <c>&amp;</c> and <c>|</c> side by side
/// need parentheses. Names are compared as written.
/// </summary>
internal sealed class ProfileExpression
{
    private const int MaxLength = 500;

    private readonly Func<ImmutableArray<string>, bool> _test;

    private ProfileExpression(Func<ImmutableArray<string>, bool> test) => _test = test;

    public bool Matches(ImmutableArray<string> profiles) => _test(profiles);

    public static ProfileExpression Parse(string text, int line)
    {
        if (text.Length > MaxLength) throw new ConfigSyntaxException(line, $"A profile expression has more than {MaxLength} characters.");
        var position = 0;
        var test = Expression(text, ref position);
        return test is not null && position == text.Length
            ? new ProfileExpression(test)
            : throw new ConfigSyntaxException(line, $"the profile expression '{text}' is malformed (mixed & and | need parentheses)");
    }

    private static Func<ImmutableArray<string>, bool>? Expression(string text, ref int position)
    {
        if (Term(text, ref position) is not { } result) return null;
        var operation = '\0';
        while (position < text.Length && text[position] is '&' or '|')
        {
            if (operation == '\0') operation = text[position];
            if (text[position++] != operation || Term(text, ref position) is not { } right) return null;
            var left = result;
            result = operation == '&' ? p => left(p) && right(p) : p => left(p) || right(p);
        }
        return result;
    }

    private static Func<ImmutableArray<string>, bool>? Term(string text, ref int position)
    {
        SkipSpace(text, ref position);
        if (position == text.Length) return null;
        Func<ImmutableArray<string>, bool>? result;
        switch (text[position])
        {
            case '!':
                position++;
                if (Term(text, ref position) is not { } inner) return null;
                return p => !inner(p);
            case '(':
                position++;
                result = Expression(text, ref position);
                if (result is null || position == text.Length || text[position++] != ')') return null;
                break;
            default:
                var end = text.AsSpan(position).IndexOfAny("()&|!");
                end = end < 0 ? text.Length : position + end;
                var name = text[position..end].Trim();
                if (name.Length == 0) return null;
                position = end;
                return p => p.Contains(name, StringComparer.Ordinal);
        }
        SkipSpace(text, ref position);
        return result;
    }

    private static void SkipSpace(string text, ref int position)
    {
        while (position < text.Length && char.IsWhiteSpace(text[position])) position++;
    }
}
