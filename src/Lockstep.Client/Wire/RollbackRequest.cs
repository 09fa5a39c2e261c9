namespace Lockstep.Client;

/// <summary>Body of <c>POST /v1/config/{service}/{env}/rollback</c>.</summary>
public sealed record RollbackRequest
{
    /// <summary>The release to pin the document to.</summary>
    public required long To { get; init; }
}
