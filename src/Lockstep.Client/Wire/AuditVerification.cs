using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>Whether the chain of the record is whole: <c>{"valid":true,"entries":n}</c> or <c>{"valid":false,"firstBad":…}</c>.</summary>
public sealed record AuditVerification
{
    /// <summary>Whether every entry is as it was written and none is missing.</summary>
    public required bool Valid { get; init; }

    /// <summary>How many entries were checked, when valid.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? Entries { get; init; }

    /// <summary>The first place that does not fit, when not valid.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public AuditBreak? FirstBad { get; init; }
}
