namespace Lockstep.Client;

/// <summary>What a change of the master key came to (<c>POST /v1/rekey</c>).</summary>
public sealed record RekeyResult
{
    /// <summary>How many keys were wrapped anew.</summary>
    public int Rewrapped { get; init; }

    /// <summary>How many keys open under neither master key, as somebody changed their rows; they are left as they are.</summary>
    public int Damaged { get; init; }
}
