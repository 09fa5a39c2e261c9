using System.Diagnostics.CodeAnalysis;

namespace Lockstep.Secrets;

/// <summary>The path that names a secret: segments of <c>A-Z a-z 0-9 _ . + = -</c> joined by <c>/</c>, none of them <c>.</c> or <c>..</c>,
/// at most 255 bytes. Other characters are percent-encoded (RFC 3986); the encoded form is the id.</summary>
internal readonly record struct SecretId : IComparable<SecretId>
{
    public const int MaxLength = 255;

    private SecretId(string value) => Value = value;

    public string Value { get => field ?? ""; }

    public static bool TryParse([NotNullWhen(true)] string? text, out SecretId id)
    {
        id = default;
        if (string.IsNullOrEmpty(text) || text.Length > MaxLength) return false;
        foreach (var segment in text.AsSpan().Split('/'))
            if (!IsSegment(text.AsSpan(segment))) return false;
        id = new SecretId(text);
        return true;
    }

    /// <summary>For ids that are written in the program or come from the database.</summary>
    public static SecretId Parse(string text) => TryParse(text, out var id) ? id : throw new FormatException($"'{text}' is no secret id");

    public int CompareTo(SecretId other) => string.CompareOrdinal(Value, other.Value);

    public override string ToString() => Value;

    private static bool IsSegment(ReadOnlySpan<char> segment)
    {
        if (segment is "" or "." or "..") return false;
        for (var i = 0; i < segment.Length; i++)
        {
            var c = segment[i];
            if (char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '+' or '=' or '-') continue;
            if (c != '%' || i + 2 >= segment.Length || !char.IsAsciiHexDigitUpper(segment[i + 1]) || !char.IsAsciiHexDigitUpper(segment[i + 2]))
                return false;
            i += 2;
        }
        return true;
    }
}
