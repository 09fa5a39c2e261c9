using Lockstep.Secrets;

namespace Lockstep.Gate;

/// <summary>What is known of a secret, and its value as a compact JWE, null when none was asked for or may be seen.</summary>
internal sealed record SecretRead(SecretInfo Info, string? Sealed);

/// <summary>What a write came to: the version, and the release that has it, null when it was only staged.</summary>
internal sealed record SecretChange(SecretId Id, int Version, long? Release);
