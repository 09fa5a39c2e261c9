using System.Text;

namespace Lockstep.Tests.Support;

/// <summary>A marked value, and every form in which it could turn up where it must not be.</summary>
internal sealed class Canary
{
    private readonly (string Form, byte[] Bytes)[] _forms;

    /// <param name="mark">Letters and digits; a value may have anything around it.</param>
    public Canary(string mark) : this(mark, Encoding.UTF8.GetBytes(mark))
    {
    }

    private Canary(string name, byte[] bytes)
    {
        Mark = name;
        var text = new List<(string Form, string Text)> { ("hex", Convert.ToHexStringLower(bytes)), ("hex", Convert.ToHexString(bytes)) };
        text.Add(("percent-encoded", string.Concat(bytes.Select(b => $"%{b:X2}"))));
        text.Add(("JSON escapes", string.Concat(bytes.Select(b => $"\\u{b:x4}"))));
        for (var before = 0; before < 3; before++)
        {
            // The characters that stand for bits of what is before or after are left out.
            var base64 = Convert.ToBase64String([.. new byte[before], .. bytes]).TrimEnd('=')[(before + 1)..^1];
            text.Add(("base64", base64));
            text.Add(("base64url", base64.Replace('+', '-').Replace('/', '_')));
        }
        _forms =
        [
            ("raw", bytes), ("UTF-16", [.. bytes.SelectMany(b => new byte[] { b, 0 })]), ("UTF-16 BE", [.. bytes.SelectMany(b => new byte[] { 0, b })]), ("backwards", [.. bytes.Reverse()]),
            .. text.Select(t => (t.Form, Encoding.ASCII.GetBytes(t.Text))),
        ];
    }

    public string Mark { get; }

    /// <summary>Bytes that are no text, such as a key.</summary>
    public static Canary Of(string name, byte[] bytes) => new(name, bytes);

    /// <summary>In which form it is in there; null: in none.</summary>
    public string? FindIn(ReadOnlySpan<byte> bytes)
    {
        foreach (var (form, mark) in _forms)
            if (bytes.IndexOf(mark) >= 0) return form;
        return null;
    }

    public string? FindIn(string text) => FindIn(Encoding.UTF8.GetBytes(text));

    /// <summary>In which file below a directory, and in which form; files of others that can't be read are left out.</summary>
    public string? FindBelow(string directory)
    {
        foreach (var file in Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories))
        {
            try
            {
                using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
                using var bytes = new MemoryStream();
                stream.CopyTo(bytes);
                if (FindIn(bytes.GetBuffer().AsSpan(0, (int)bytes.Length)) is { } form) return $"{file} ({form})";
            }
            catch (IOException)
            {
                // Locked, or gone by now.
            }
        }
        return null;
    }
}
