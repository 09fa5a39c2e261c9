namespace Lockstep.Client;

/// <summary>Body of <c>POST /v1/secret-activations/{id}</c>.</summary>
public sealed record ActivateRequest
{
    /// <summary>The version to make the active one.</summary>
    public required int Version { get; init; }
}
