using System.Buffers;
using System.Globalization;
using System.Numerics;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Lockstep.Config.Parsing;

internal enum YamlType { String, Null, Boolean, Integer, Float }

/// <summary>A resolved scalar. <see cref="Canonical"/> is how Java prints it, which names it as a key.</summary>
internal readonly record struct YamlScalarValue(YamlType Type, ScalarValue Value, string Canonical)
{
    public static YamlScalarValue Text(string text) => new(YamlType.String, new(ScalarKind.String, text), text);
}

/// <summary>
/// YAML 1.1 scalar resolution as Spring Boot configures SnakeYAML: no timestamps, and <c>y</c> and <c>n</c> are strings.
/// The number forms are those of yaml.org/type/int and yaml.org/type/float.
/// </summary>
internal static class YamlScalars
{
    /// <summary>Longer numbers that are not plain decimals stay text: converting them takes time that grows with the square of the length.</summary>
    private const int MaxRadixDigits = 1000;

    private const string TagPrefix = "tag:yaml.org,2002:";

    private static readonly SearchValues<char> s_digitsAndUnderscore = SearchValues.Create("0123456789_");

    private static readonly YamlScalarValue s_null = new(YamlType.Null, new(ScalarKind.String, ""), "null");

    public static YamlScalarValue Resolve(Scalar scalar, int line)
    {
        var text = scalar.Value;
        if (scalar.Tag.IsEmpty)
            return scalar.Style == ScalarStyle.Plain ? Plain(text) : YamlScalarValue.Text(text);
        if (scalar.Tag.IsNonSpecific) return YamlScalarValue.Text(text);
        YamlScalarValue? tagged = scalar.Tag.Value switch
        {
            TagPrefix + "str" or TagPrefix + "binary" or TagPrefix + "timestamp" => YamlScalarValue.Text(text),
            TagPrefix + "null" => s_null,
            TagPrefix + "bool" => Boolean(text),
            TagPrefix + "int" => Integer(text),
            TagPrefix + "float" => Float(text) ?? (Integer(text) is { } whole ? Finite(double.Parse(whole.Canonical, CultureInfo.InvariantCulture), "") : null),
            // As in Spring; taking an unknown tag for a string would hide that somebody meant it to do something.
            var other => throw new ConfigSyntaxException(line, $"the tag '{other}' is not supported"),
        };
        return tagged ?? throw new ConfigSyntaxException(line, $"the value does not fit its tag '{scalar.Tag.Value}'");
    }

    public static bool IsCollectionTag(TagName tag) =>
        tag.IsEmpty || tag.IsNonSpecific || tag.Value is TagPrefix + "map" or TagPrefix + "seq" or TagPrefix + "set" or TagPrefix + "omap" or TagPrefix + "pairs";

    private static YamlScalarValue Plain(string text)
    {
        if (text.Length == 0) return s_null;
        switch (text[0])
        {
            case '~' or 'n' or 'N' when text is "~" or "null" or "Null" or "NULL":
                return s_null;
            case 't' or 'T' or 'f' or 'F' or 'y' or 'Y' or 'n' or 'N' or 'o' or 'O':
                return Boolean(text) ?? YamlScalarValue.Text(text);
            case '+' or '-' or '.' or (>= '0' and <= '9'):
                return Integer(text) ?? Float(text) ?? YamlScalarValue.Text(text);
            default:
                return YamlScalarValue.Text(text);
        }
    }

    private static YamlScalarValue? Boolean(string text) => text switch
    {
        "true" or "True" or "TRUE" or "yes" or "Yes" or "YES" or "on" or "On" or "ON" => new(YamlType.Boolean, new(ScalarKind.Boolean, "true"), "true"),
        "false" or "False" or "FALSE" or "no" or "No" or "NO" or "off" or "Off" or "OFF" => new(YamlType.Boolean, new(ScalarKind.Boolean, "false"), "false"),
        _ => null,
    };

    private static YamlScalarValue? Integer(string text)
    {
        var body = text.AsSpan();
        var negative = body is ['-', ..];
        if (body is ['-' or '+', ..]) body = body[1..];
        var digits = Magnitude(body);
        if (digits is null) return null;
        var canonical = negative && digits != "0" ? "-" + digits : digits;
        return new(YamlType.Integer, new(ScalarKind.Number, JsonNumber.IsValid(text) ? text : canonical), canonical);
    }

    private static string? Magnitude(ReadOnlySpan<char> body) => body switch
    {
        "0" => "0",
        ['0', 'b', .. var rest] => InRadix(rest, 2),
        ['0', 'x', .. var rest] => InRadix(rest, 16),
        ['0', .. var rest] => InRadix(rest, 8),
        [>= '1' and <= '9', ..] when body.Contains(':') => Sexagesimal(body)?.ToString(CultureInfo.InvariantCulture),
        [>= '1' and <= '9', ..] when !body.ContainsAnyExcept(s_digitsAndUnderscore) => body.ToString().Replace("_", "", StringComparison.Ordinal),
        _ => null,
    };

    private static string? InRadix(ReadOnlySpan<char> text, int radix)
    {
        if (text.Length > MaxRadixDigits) return null;
        var value = BigInteger.Zero;
        var any = false;
        foreach (var c in text)
        {
            if (c == '_') continue;
            var digit = char.IsAsciiHexDigit(c) ? Convert.ToInt32(c.ToString(), 16) : radix;
            if (digit >= radix) return null;
            value = value * radix + digit;
            any = true;
        }
        return any ? value.ToString(CultureInfo.InvariantCulture) : null;
    }

    private static BigInteger? Sexagesimal(ReadOnlySpan<char> text)
    {
        if (text.Length > MaxRadixDigits) return null;
        BigInteger? value = null;
        foreach (var range in text.Split(':'))
        {
            var part = text[range];
            if (value is null)
            {
                if (part.ContainsAnyExcept(s_digitsAndUnderscore) || part is [] or ['_', ..]) return null;
                value = BigInteger.Parse(part.ToString().Replace("_", "", StringComparison.Ordinal), CultureInfo.InvariantCulture);
                continue;
            }
            if (part.Length is 0 or > 2 || part.ContainsAnyExceptInRange('0', '9') || (part.Length == 2 && part[0] > '5')) return null;
            value = value * 60 + int.Parse(part, CultureInfo.InvariantCulture);
        }
        return value;
    }

    private static YamlScalarValue? Float(string text)
    {
        switch (text)
        {
            case ".inf" or ".Inf" or ".INF" or "+.inf" or "+.Inf" or "+.INF": return Special("Infinity");
            case "-.inf" or "-.Inf" or "-.INF": return Special("-Infinity");
            case ".nan" or ".NaN" or ".NAN": return Special("NaN");
        }
        var body = text.AsSpan();
        if (body is ['-' or '+', ..]) body = body[1..];
        if (body.Contains(':')) return SexagesimalFloat(body, text[0] == '-');
        if (!IsFloat(body)) return null;
        return Finite(double.Parse(text.Replace("_", "", StringComparison.Ordinal), NumberStyles.Float, CultureInfo.InvariantCulture), text);
    }

    private static bool IsFloat(ReadOnlySpan<char> body)
    {
        if (body is not ([>= '0' and <= '9', ..] or ['.', >= '0' and <= '9', ..])) return false;
        var mantissa = body;
        var exponent = body.IndexOfAny('e', 'E');
        if (exponent >= 0)
        {
            mantissa = body[..exponent];
            var power = body[(exponent + 1)..];
            if (power is ['-' or '+', ..]) power = power[1..];
            if (power.IsEmpty || power.ContainsAnyExceptInRange('0', '9')) return false;
        }
        var point = mantissa.IndexOf('.');
        if (point < 0) return exponent >= 0 && !mantissa.ContainsAnyExcept(s_digitsAndUnderscore);
        return !mantissa[..point].ContainsAnyExcept(s_digitsAndUnderscore) && !mantissa[(point + 1)..].ContainsAnyExcept(s_digitsAndUnderscore);
    }

    private static YamlScalarValue? SexagesimalFloat(ReadOnlySpan<char> body, bool negative)
    {
        var point = body.IndexOf('.');
        if (point < 0 || body[(point + 1)..].ContainsAnyExcept(s_digitsAndUnderscore) || Sexagesimal(body[..point]) is not { } whole) return null;
        var fraction = "0." + body[(point + 1)..].ToString().Replace("_", "", StringComparison.Ordinal) + "0";
        var value = (double)whole + double.Parse(fraction, CultureInfo.InvariantCulture);
        return Finite(negative ? -value : value, "");
    }

    private static YamlScalarValue Finite(double value, string source)
    {
        if (double.IsInfinity(value)) return Special(value > 0 ? "Infinity" : "-Infinity");
        var canonical = JsonNumber.Canonical(value);
        return new(YamlType.Float, new(ScalarKind.Number, JsonNumber.IsValid(source) ? source : canonical), canonical);
    }

    // JSON has no such numbers, so the value is text; as a key it is still no string.
    private static YamlScalarValue Special(string text) => new(YamlType.Float, new(ScalarKind.String, text), text);
}
