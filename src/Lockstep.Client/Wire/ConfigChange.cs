using System.Text.Json;

namespace Lockstep.Client;

/// <summary>A key whose value differs between two releases.</summary>
public sealed record ConfigChange
{
    /// <summary>The key.</summary>
    public required string Key { get; init; }

    /// <summary>The older value; of a key that derives from secrets, their versions only.</summary>
    public required JsonElement From { get; init; }

    /// <summary>The newer value; of a key that derives from secrets, their versions only.</summary>
    public required JsonElement To { get; init; }
}
