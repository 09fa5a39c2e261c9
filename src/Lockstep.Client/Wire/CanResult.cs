namespace Lockstep.Client;

/// <summary>Whether the caller may do something (<c>GET /v1/can</c>).</summary>
public sealed record CanResult
{
    /// <summary>Whether it is allowed.</summary>
    public required bool Allowed { get; init; }

    /// <summary>Why, in words.</summary>
    public required string Reason { get; init; }
}
