namespace Lockstep.Secrets;

/// <summary>A reference from a config value to a secret, <c>${secret:ID[#FIELD][@VERSION]}</c>. Without a version the active one is meant.</summary>
internal sealed record SecretRef(SecretId Id, string? Field, int? Version);
