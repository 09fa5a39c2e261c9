using Lockstep.Client;

namespace Lockstep.Config;

/// <summary>Why a document does not resolve. The message never holds any part of a secret.</summary>
internal sealed record ConfigError(SourceLocation? Location, string? Key, string Message)
{
    private const int MaxLength = 300;

    public string? Key { get; } = Cut(Key);

    public string Message { get; } = Cut(Message)!;

    public ProblemError ToProblem() => new() { File = Location?.File, Line = Location?.Line, Key = Key, Message = Message };

    public override string ToString() => string.Join(": ", new[] { Location?.ToString(), Key, Message }.Where(s => !string.IsNullOrEmpty(s)));

    // Keys and names of a hostile file have any length, and every reader of a stale document is told why.
    private static string? Cut(string? text) => text is null || text.Length <= MaxLength ? text : string.Concat(text.AsSpan(0, MaxLength), "…");
}
