using System.Globalization;

namespace Lockstep.Config.Parsing;

/// <summary>The grammar of numbers in RFC 8259, section 6, and how a double is written within it.</summary>
internal static class JsonNumber
{
    public static bool IsValid(ReadOnlySpan<char> text)
    {
        if (text is ['-', ..]) text = text[1..];
        var whole = Digits(text);
        if (whole == 0 || (whole > 1 && text[0] == '0')) return false;
        text = text[whole..];
        if (text is ['.', ..])
        {
            var fraction = Digits(text[1..]);
            if (fraction == 0) return false;
            text = text[(1 + fraction)..];
        }
        if (text is ['e' or 'E', ..])
        {
            text = text[1..];
            if (text is ['-' or '+', ..]) text = text[1..];
            var power = Digits(text);
            if (power == 0) return false;
            text = text[power..];
        }
        return text.IsEmpty;
    }

    /// <summary>As Java's <c>Double.toString</c> prints it: <c>0.5</c>, <c>90.0</c>, <c>1.0E10</c>.</summary>
    public static string Canonical(double value)
    {
        if (value == 0) return double.IsNegative(value) ? "-0.0" : "0.0";
        var sign = value < 0 ? "-" : "";
        var magnitude = Math.Abs(value);
        var (digits, power) = Scientific(magnitude.ToString("R", CultureInfo.InvariantCulture));
        if (magnitude is < 1e-3 or >= 1e7)
            return $"{sign}{digits[0]}.{(digits.Length > 1 ? digits[1..] : "0")}E{power.ToString(CultureInfo.InvariantCulture)}";
        if (power < 0) return $"{sign}0.{new string('0', -power - 1)}{digits}";
        digits = digits.PadRight(power + 2, '0');
        return $"{sign}{digits[..(power + 1)]}.{digits[(power + 1)..]}";
    }

    /// <summary>The significant digits, and the power of ten of the first.</summary>
    private static (string Digits, int Power) Scientific(string shortest)
    {
        var e = shortest.IndexOf('E', StringComparison.Ordinal);
        var power = e < 0 ? 0 : int.Parse(shortest.AsSpan(e + 1), CultureInfo.InvariantCulture);
        var mantissa = e < 0 ? shortest : shortest[..e];
        var point = mantissa.IndexOf('.', StringComparison.Ordinal);
        var all = mantissa.Replace(".", "", StringComparison.Ordinal);
        var leading = all.Length - all.TrimStart('0').Length;
        power += (point < 0 ? mantissa.Length : point) - 1 - leading;
        return (all.Trim('0'), power);
    }

    private static int Digits(ReadOnlySpan<char> text)
    {
        var end = text.IndexOfAnyExceptInRange('0', '9');
        return end < 0 ? text.Length : end;
    }
}
