using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>One release, as the journal and a document's history list it.</summary>
public sealed record ReleaseInfo
{
    /// <summary>The number.</summary>
    public required long Release { get; init; }

    /// <summary>When it was made.</summary>
    public required DateTimeOffset At { get; init; }

    /// <summary>Who made it: the name of a token, or <c>system:…</c>.</summary>
    public required string By { get; init; }

    /// <summary><c>git</c>, <c>secret</c>, <c>pin</c> or <c>shape</c>.</summary>
    public required string Kind { get; init; }

    /// <summary>What happened, in a line: the subject of the commit, the secret's id and version.</summary>
    public required string Message { get; init; }

    /// <summary>The commit the tracked branch stood at; null before there was one.</summary>
    public string? Commit { get; init; }

    /// <summary>The keys it changed, as far as the caller may read them, sorted.</summary>
    public IReadOnlyList<string> Keys { get; init => field = value ?? []; } = [];

    /// <summary>How many known documents it changed, as far as the caller may read them; null in a list of releases.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? DocumentCount { get; init; }

    /// <summary>The documents it changed: of a history the one it is the history of, of one release the first 1,000 that the caller may read, by name; null in a list of releases.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<ReleaseDocument>? Documents { get; init; }
}
