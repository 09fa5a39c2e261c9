using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Runtime.CompilerServices;
using Lockstep.Config;
using Lockstep.Secrets;

namespace Lockstep.Releases;

/// <summary>Renders a resolution for a set of secrets that the reader may not see. The gate supplies it: nothing below the gate reveals a value.</summary>
internal delegate RenderedDocument RenderDocument(Resolution resolution, FrozenSet<SecretId> withheld);

/// <summary>A valid document. It is rendered whole once, and once for each set of secrets that some reader may not see.</summary>
internal sealed class Document(Resolution resolution, RenderDocument render)
{
    private const int SetsKept = 64;

    private readonly ConcurrentDictionary<string, RenderedDocument> _partial = new(StringComparer.Ordinal);
    private readonly ConditionalWeakTable<object, RenderedDocument> _byReader = [];

    public Resolution Resolution { get; } = resolution;

    /// <summary>As a reader sees it from whom nothing is withheld; its ETag decides whether the document changed.</summary>
    public RenderedDocument Full { get; } = render(resolution, FrozenSet<SecretId>.Empty);

    /// <summary>As a reader sees it who may see only the secrets that <paramref name="visible"/> accepts. For one <paramref name="reader"/> it always accepts the same.</summary>
    public RenderedDocument For(object reader, Func<SecretId, bool> visible)
    {
        if (Resolution.SecretIds.IsEmpty) return Full;
        if (_byReader.TryGetValue(reader, out var known)) return known;
        var rendered = Render(visible);
        _byReader.AddOrUpdate(reader, rendered);
        return rendered;
    }

    private RenderedDocument Render(Func<SecretId, bool> visible)
    {
        var withheld = Resolution.SecretIds.Where(id => !visible(id)).ToFrozenSet();
        if (withheld.Count == 0) return Full;
        // '/' and letters only: no id holds a space, so the joined ids are unambiguous.
        var set = string.Join(' ', Resolution.SecretIds.Where(withheld.Contains));
        if (_partial.TryGetValue(set, out var rendered)) return rendered;
        rendered = render(Resolution, withheld);
        return _partial.Count < SetsKept ? _partial.GetOrAdd(set, rendered) : rendered;
    }
}
