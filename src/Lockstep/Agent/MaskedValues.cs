using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>The values that must not be seen in a child's output: those of the newest documents, the one before a change as well as the one after.</summary>
internal sealed class MaskedValues
{
    private const int Documents = 8;

    private readonly Lock _lock = new();
    private readonly Queue<IReadOnlyList<string>> _documents = new();
    private volatile OutputMask? _mask;

    /// <summary>Whether there is nothing to mask.</summary>
    public bool IsEmpty
    {
        get
        {
            lock (_lock) return _documents.All(d => d.Count == 0);
        }
    }

    /// <summary>What finds them; the same object as long as they are the same.</summary>
    public OutputMask Mask
    {
        get
        {
            if (_mask is { } made) return made;
            lock (_lock) return _mask ??= new OutputMask(_documents.SelectMany(d => d).ToHashSet(StringComparer.Ordinal).SelectMany(MaskForms.Of));
        }
    }

    /// <summary>Before a child can have them.</summary>
    public void Add(Snapshot snapshot)
    {
        var texts = ChildInput.Texts(snapshot, onlySecrets: true);
        lock (_lock)
        {
            _documents.Enqueue([.. texts.Values.SelectMany(v => UrlSecrets.Of(v).Prepend(v)).Where(v => v.Length >= MaskForms.MinLength)]);
            if (_documents.Count > Documents) _documents.Dequeue();
            _mask = null;
        }
    }
}
