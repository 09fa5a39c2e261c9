using System.Text.Json;
using Lockstep.Client;
using Lockstep.Releases;

namespace Lockstep.Gate;

/// <summary>What a read of a document came to. With <see cref="NotModified"/> nothing was disclosed and only the head may be sent.</summary>
internal sealed record ConfigRead(SnapshotHead Head, RenderedDocument Document, bool NotModified);

/// <summary>What stands before the document and may differ between two reads of the same document.</summary>
/// <param name="Release">The release whose document this is.</param>
/// <param name="Commit">The commit the label stands at there; null while the tracked branch does not exist.</param>
/// <param name="Pinned">The release the document is pinned to.</param>
/// <param name="Stale">Since when and why it is not the newest.</param>
internal sealed record SnapshotHead(long Release, string? Commit, long? Pinned, Staleness? Stale)
{
    /// <summary>Writes <c>release</c>, <c>commit</c>, <c>stale</c> and, when it is pinned, <c>pinned</c>.</summary>
    public void WriteTo(Utf8JsonWriter json)
    {
        json.WriteNumber("release", Release);
        json.WriteString("commit", Commit is { Length: > 0 } ? Commit : null);
        if (Stale is { } stale)
        {
            json.WriteStartObject("stale");
            json.WriteString("since", TimeConverter.ToWire(stale.Since));
            json.WriteString("reason", stale.Reason);
            json.WriteEndObject();
        }
        else
        {
            json.WriteBoolean("stale", false);
        }
        if (Pinned is { } pinned) json.WriteNumber("pinned", pinned);
    }
}
