using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>Body of <c>POST /v1/tokens/renew</c>.</summary>
public sealed record TokenRenew
{
    /// <summary>How long it shall live from now; null, or more: for as long as it was made for.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public TimeSpan? ExpiresIn { get; init; }
}
