using System.Collections.Immutable;
using YamlDotNet.Core;

namespace Lockstep.Config.Parsing;

/// <summary>YAML as Spring's YamlProcessor reads it: several documents, flattened; empty documents are left out and not counted.</summary>
internal static class YamlParser
{
    public static ImmutableArray<ParsedDocument> Parse(string text)
    {
        RefuseControlCharacters(text);
        var documents = ImmutableArray.CreateBuilder<ParsedDocument>();
        var entries = new FlatEntries();
        var composer = new YamlComposer(new Parser(new Scanner(new StringReader(text), skipComments: true)));
        try
        {
            while (composer.NextDocument(out var root))
            {
                // Spring drops documents that are null or an empty string.
                if (root is null or YamlScalar { Value.Value: { Kind: ScalarKind.String, Text: "" } }) continue;
                new YamlFlattener(entries).Flatten(root);
                documents.Add(Document(entries.Take()));
            }
        }
        catch (YamlException e)
        {
            throw new ConfigSyntaxException((int)Math.Clamp(e.Start.Line, 1, int.MaxValue), $"the YAML is not valid: {e.Message}");
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or FormatException or OverflowException or IndexOutOfRangeException)
        {
            // The scanner lets some of its own failures through, such as on numbers in directives that are too long.
            throw new ConfigSyntaxException(composer.Line, "the YAML is not valid");
        }
        return documents.ToImmutable();
    }

    public static ParsedDocument Document(ImmutableArray<PropertyEntry> entries) => new(entries, Activation.From(entries));

    /// <summary>The characters YAML does not allow; the scanner takes U+0000 for the end of the file and would drop what follows.</summary>
    private static void RefuseControlCharacters(string text)
    {
        var line = 1;
        foreach (var c in text)
        {
            if (c == '\n') line++;
            if (c is < ' ' and not ('\t' or '\n' or '\r') or (>= '\x7f' and < '\xa0' and not '\x85') or '\uFFFE' or '\uFFFF')
                throw new ConfigSyntaxException(line, $"the character U+{(int)c:X4} is not allowed in YAML; write it as an escape in double quotes");
        }
    }
}
