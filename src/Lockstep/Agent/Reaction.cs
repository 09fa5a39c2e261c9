using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>What is done to a child when its document changes, or when the token is no longer valid: nothing, a new process, an end, or a signal.</summary>
internal sealed record Reaction(ReactionKind Kind, int Signal = 0)
{
    public static Reaction None { get; } = new(ReactionKind.None);

    public static Reaction Restart { get; } = new(ReactionKind.Restart);

    public static Reaction Stop { get; } = new(ReactionKind.Stop);

    /// <summary>Reads <c>none</c>, <c>signal=HUP</c> or <paramref name="word"/>, which is what <paramref name="named"/> stands for.</summary>
    public static Reaction Parse(string text, string word, Reaction named, string option)
    {
        if (text == word) return named;
        if (text == "none") return None;
        const string Prefix = "signal=";
        if (text.StartsWith(Prefix, StringComparison.Ordinal) && Signals.Number(text[Prefix.Length..]) is { } number) return new(ReactionKind.Signal, number);
        throw new LockstepException(ErrorCode.BadRequest, $"{option} is {word}, none or signal=NAME with NAME one of {string.Join(", ", Signals.Names)}");
    }
}
