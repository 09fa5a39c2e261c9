using System.Collections.Immutable;

namespace Lockstep.Releases;

/// <summary>A document as callers with one set of withheld keys see it: the bytes after the head, shared by all of them.</summary>
/// <param name="Json">UTF-8 JSON, one object of <c>service</c>, <c>environment</c>, <c>label</c>, <c>values</c>, <c>secrets</c>, <c>withheld</c>, in this order.</param>
/// <param name="ETag">Weak, with quotes.</param>
/// <param name="Discloses">The secret versions in the body as <c>id@version</c>, sorted; empty when it holds none.</param>
internal sealed record RenderedDocument(ReadOnlyMemory<byte> Json, string ETag, ImmutableArray<string> Discloses)
{
    /// <summary><see cref="Json"/> without the opening brace, which belongs to the head.</summary>
    public ReadOnlyMemory<byte> Body => Json[1..];
}
