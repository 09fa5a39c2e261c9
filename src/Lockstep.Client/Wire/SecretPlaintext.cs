namespace Lockstep.Client;

/// <summary>What is inside a sealed value: the plaintext of the JWE in <see cref="SecretMetadata.Value"/>.</summary>
public sealed record SecretPlaintext
{
    /// <summary>The id.</summary>
    public required string Id { get; init; }

    /// <summary>The version.</summary>
    public required int Version { get; init; }

    /// <summary>The text of the value.</summary>
    public required string Value { get; init; }

    /// <summary>Id and version; never the value.</summary>
    public override string ToString() => $"{Id}@{Version}";
}
