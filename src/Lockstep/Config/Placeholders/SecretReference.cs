using System.Globalization;
using System.Text;
using System.Text.Unicode;
using Lockstep.Secrets;

namespace Lockstep.Config.Placeholders;

/// <summary>
/// The text <c>ID[#FIELD][@VERSION]</c> of a reference. The last <c>@</c> starts the version, the first <c>#</c> the field; in both ID and FIELD other characters than
/// <c>A-Z a-z 0-9 _ . + = -</c> (and <c>/</c> between the segments of an ID) are percent-encoded. Messages do not repeat the text: somebody may
/// have put a value there.
/// </summary>
internal static class SecretReference
{
    private const int MaxLength = 1024;

    public static SecretRef Parse(string text)
    {
        if (text.Length > MaxLength) throw new TemplateException($"a reference to a secret has more than {MaxLength} characters");
        if (text.Contains("${", StringComparison.Ordinal))
            throw new TemplateException("a reference to a secret can't hold a placeholder; write the id in full");
        int? version = null;
        var at = text.LastIndexOf('@');
        if (at >= 0)
        {
            version = Version(text.AsSpan(at + 1));
            text = text[..at];
        }
        string? field = null;
        var hash = text.IndexOf('#', StringComparison.Ordinal);
        if (hash >= 0)
        {
            field = Field(text[(hash + 1)..]);
            text = text[..hash];
        }
        if (SecretId.TryParse(text, out var id)) return new SecretRef(id, field, version);
        throw new TemplateException(text.Contains(':', StringComparison.Ordinal)
            ? "a reference to a secret has no default: its syntax is ${secret:ID}, ${secret:ID#FIELD} or ${secret:ID@VERSION}"
            : "a reference names no valid secret id: segments of A-Z a-z 0-9 _ . + = - joined by '/', other characters percent-encoded as %2F, at most 255 characters");
    }

    /// <summary>The reference as a placeholder that <see cref="Parse"/> reads back.</summary>
    public static string Write(SecretRef reference)
    {
        var text = new StringBuilder("${secret:").Append(reference.Id.Value);
        if (reference.Field is { } field) text.Append('#').Append(Escape(field));
        if (reference.Version is { } version) text.Append(CultureInfo.InvariantCulture, $"@{version}");
        return text.Append('}').ToString();
    }

    // As short as it can be, so that what was read is never too long to be read again.
    private static string Escape(string field) => new StringBuilder(Uri.EscapeDataString(field)).Replace("~", "%7E").Replace("%2B", "+").Replace("%3D", "=").ToString();

    private static int Version(ReadOnlySpan<char> text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var version) && version >= 1
            ? version
            : throw new TemplateException("the version of a reference, after '@', must be an integer from 1; write a '@' of the id or field as %40");

    private static string Field(string text)
    {
        var bytes = new List<byte>(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '+' or '=' or '-')
            {
                bytes.Add((byte)c);
                continue;
            }
            if (c != '%' || i + 2 >= text.Length || !byte.TryParse(text.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var b))
                throw BadField();
            bytes.Add(b);
            i += 2;
        }
        byte[] utf8 = [.. bytes];
        return utf8.Length > 0 && Utf8.IsValid(utf8) ? Encoding.UTF8.GetString(utf8) : throw BadField();
    }

    private static TemplateException BadField() =>
        new("the field of a reference, after '#', must be letters, digits and _ . + = - with other characters percent-encoded in UTF-8");
}
