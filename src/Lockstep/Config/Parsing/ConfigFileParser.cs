using System.Collections.Immutable;
using System.Text;
using System.Text.Unicode;

namespace Lockstep.Config.Parsing;

/// <summary>Reads one config file, by its extension. Never throws for what a file holds; time and memory are bounded by <see cref="ConfigLimits"/>.</summary>
internal static class ConfigFileParser
{
    private static readonly UTF8Encoding s_strictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public static ParsedFile Parse(string path, ReadOnlyMemory<byte> content)
    {
        if (content.Length > ConfigLimits.FileBytes)
            return ParsedFile.Failed(path, 1, $"the file has {content.Length} bytes; the limit is {ConfigLimits.FileBytes}");
        if (content.Span.StartsWith("\uFEFF"u8)) content = content[3..];
        try
        {
            return new ParsedFile(Documents(path, content), null);
        }
        catch (ConfigSyntaxException e)
        {
            return ParsedFile.Failed(path, e.Line, e.Message);
        }
    }

    private static ImmutableArray<ParsedDocument> Documents(string path, ReadOnlyMemory<byte> content)
    {
        if (path.EndsWith(".properties", StringComparison.Ordinal)) return PropertiesParser.Parse(LenientText(content.Span));
        RefuseInvalidUtf8(content.Span);
        return path.EndsWith(".json", StringComparison.Ordinal)
            ? JsonFileParser.Parse(content.Span)
            : YamlParser.Parse(s_strictUtf8.GetString(content.Span));
    }

    /// <summary>UTF-8, and the ISO-8859-1 of old Java files where the bytes are not valid UTF-8.</summary>
    private static string LenientText(ReadOnlySpan<byte> content) =>
        Utf8.IsValid(content) ? s_strictUtf8.GetString(content) : Encoding.Latin1.GetString(content);

    private static void RefuseInvalidUtf8(ReadOnlySpan<byte> content)
    {
        if (Utf8.IsValid(content)) return;
        var line = 1;
        while (content.Length > 0 && Rune.DecodeFromUtf8(content, out var rune, out var used) == System.Buffers.OperationStatus.Done)
        {
            if (rune.Value == '\n') line++;
            content = content[used..];
        }
        throw new ConfigSyntaxException(line, "the file is not valid UTF-8; save it as UTF-8");
    }
}
