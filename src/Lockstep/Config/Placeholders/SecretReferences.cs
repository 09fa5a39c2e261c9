using System.Collections.Immutable;
using Lockstep.Config.Parsing;
using Lockstep.Secrets;

namespace Lockstep.Config.Placeholders;

/// <summary>The references to secrets that a file holds as text, whether or not a document uses the file.</summary>
internal static class SecretReferences
{
    /// <summary>Adds them to <paramref name="found"/>; what can't be taken apart is told to <paramref name="malformed"/>.</summary>
    public static void Collect(ParsedFile file, ISet<SecretRef> found, Action<PropertyEntry, string> malformed)
    {
        foreach (var entry in file.Documents.SelectMany(d => d.Entries))
        {
            if (entry.Value.Kind != ScalarKind.String || TemplateParser.IsPlain(entry.Value.Text)) continue;
            try
            {
                Collect(TemplateParser.Parse(entry.Value.Text), found);
            }
            catch (TemplateException e)
            {
                malformed(entry, e.Message);
            }
        }
    }

    /// <summary>Adds those of a text; none when it can't be taken apart, for then none is ever filled in.</summary>
    public static void Collect(string text, ISet<SecretRef> found)
    {
        try
        {
            foreach (var part in TemplateParser.References(text))
                if (part.Ref is { } reference) found.Add(reference);
        }
        catch (TemplateException)
        {
        }
    }

    // The syntax has no way to put a reference together from pieces: all there are stand in the text.
    private static void Collect(ImmutableArray<Piece> pieces, ISet<SecretRef> found)
    {
        foreach (var piece in pieces)
        {
            if (piece is Piece.Reference reference) found.Add(reference.Ref);
            if (piece is not Piece.Placeholder placeholder) continue;
            Collect(placeholder.Name, found);
            if (placeholder.Default is { } otherwise) Collect(otherwise, found);
        }
    }
}
