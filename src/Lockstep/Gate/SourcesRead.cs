using System.Collections.Immutable;
using Lockstep.Config;
using Lockstep.Releases;

namespace Lockstep.Gate;

/// <summary>Whose sources are asked for.</summary>
/// <param name="Service">Its name; several, joined by ',', are searched as one, the last winning.</param>
/// <param name="Environment">One or several, joined by ',', the last winning.</param>
/// <param name="Labels">Branches, tags or commits, the highest precedence first; empty: the default label.</param>
internal sealed record SourcesQuery(string Service, string Environment, ImmutableArray<string> Labels)
{
    public DocumentKey Key(string? label) => new(Service, Environment, label);

    public override string ToString() => Labels.IsEmpty ? $"{Service}/{Environment}" : $"{Service}/{Environment}@{string.Join(',', Labels.Reverse())}";
}

/// <summary>Property sources as they are served, secrets filled in.</summary>
/// <param name="Sources">Highest precedence first.</param>
/// <param name="Commits">Where each label stands, in the order of the labels.</param>
/// <param name="Head">What they are of.</param>
internal sealed record SourcesRead(ImmutableArray<ServedSource> Sources, ImmutableArray<string> Commits, ServedHead Head);

/// <summary>Values of some keys, secrets filled in.</summary>
internal sealed record MergedRead(ImmutableArray<(string Key, ScalarValue Value)> Values, ServedHead Head);

/// <summary>A label.</summary>
/// <param name="Ref">As the release knows it; null is the tracked branch.</param>
/// <param name="Name">As it was asked for, where another stands in for it.</param>
internal readonly record struct SpringLabel(string? Ref, string? Name);

/// <summary>The sources of all labels, found at one state.</summary>
/// <param name="Sources">Highest precedence first.</param>
/// <param name="Live">The state.</param>
/// <param name="State">The release whose secrets go with the references that name no version.</param>
/// <param name="Commits">Where each label stands.</param>
/// <param name="Head">What they are of.</param>
internal sealed record FoundSources(ImmutableArray<PropertySource> Sources, LiveState Live, ReleaseState State, ImmutableArray<string> Commits, ServedHead Head);

/// <summary>One source.</summary>
/// <param name="Source">Where it is from; its entries are as the file has them, with references to secrets.</param>
/// <param name="Values">The values that go with its entries.</param>
internal sealed record ServedSource(PropertySource Source, ImmutableArray<ScalarValue> Values);

/// <summary>A file as it is served.</summary>
/// <param name="Content">Its bytes; empty when <paramref name="NotModified"/>.</param>
/// <param name="LastModified">To the second: what was answered before it may differ.</param>
/// <param name="NotModified">It is as it was then.</param>
/// <param name="Head">What it is of.</param>
internal sealed record FileRead(ReadOnlyMemory<byte> Content, DateTimeOffset LastModified, bool NotModified, ServedHead Head);

/// <summary>How a file is asked for.</summary>
/// <param name="Path">Below a search location.</param>
/// <param name="Charset">How its text is to be read, so that placeholders are filled in; null: as it is.</param>
/// <param name="ModifiedSince">What the caller has is of then.</param>
internal sealed record FileQuery(string Path, string? Charset, DateTimeOffset? ModifiedSince);
