using System.Collections.Immutable;

namespace Lockstep.Releases;

/// <summary>A document as callers with one set of withheld keys see it: the bytes after the head, shared by all of them.</summary>
/// <param name="Body">UTF-8 JSON from <c>"service":</c> to the closing brace.</param>
/// <param name="ETag">Weak, with quotes.</param>
/// <param name="Discloses">The secret versions in the body as <c>id@version</c>, sorted; empty when it holds none.</param>
internal sealed record RenderedDocument(ReadOnlyMemory<byte> Body, string ETag, ImmutableArray<string> Discloses);
