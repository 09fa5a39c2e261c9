using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Lockstep.Agent;

/// <summary>The forms in which a secret may turn up in a program's output: as it is, line by line, and as base64, JSON and URLs write it.</summary>
internal static class MaskForms
{
    /// <summary>Shorter ones are words like any other: masking them would make output unreadable and tell what they are.</summary>
    public const int MinLength = 6;

    /// <summary>The longest piece that is looked for. A longer form is found piece by piece, which bounds what has to be held back.</summary>
    public const int MaxPiece = 256;

    /// <summary>Longer values (keys, certificates) are looked for as they are and line by line only: each encoded form takes memory as the value does.</summary>
    private const int MaxEncoded = 512;

    public static IEnumerable<byte[]> Of(string value)
    {
        var forms = new HashSet<string>(StringComparer.Ordinal) { value };
        foreach (var line in value.Split('\n')) forms.Add(line.Trim('\r'));
        if (value.Length <= MaxEncoded)
        {
            forms.Add(JsonEncodedText.Encode(value, JavaScriptEncoder.UnsafeRelaxedJsonEscaping).Value);
            forms.Add(JsonEncodedText.Encode(value).Value);
            forms.Add(Uri.EscapeDataString(value));
            for (var shift = 0; shift < 3; shift++)
            {
                var text = Base64At(value, shift);
                forms.Add(text);
                forms.Add(text.Replace('+', '-').Replace('/', '_'));
            }
        }
        return forms.Where(f => f.Length >= MinLength).SelectMany(f => Pieces(Encoding.UTF8.GetBytes(f)));
    }

    /// <summary>The characters of base64 that depend on nothing but the value when it begins <paramref name="shift"/> bytes (modulo 3) into what is encoded.</summary>
    private static string Base64At(string value, int shift)
    {
        byte[] bytes = [.. new byte[shift], .. Encoding.UTF8.GetBytes(value)];
        var from = (shift * 8 + 5) / 6;
        var to = bytes.Length * 8 / 6;
        return Convert.ToBase64String(bytes)[from..to];
    }

    /// <summary>Pieces of about equal length, so that none is so short that it is found everywhere.</summary>
    private static IEnumerable<byte[]> Pieces(byte[] form)
    {
        var count = (form.Length + MaxPiece - 1) / MaxPiece;
        for (var i = 0; i < count; i++) yield return form[(int)((long)form.Length * i / count)..(int)((long)form.Length * (i + 1) / count)];
    }
}
