namespace Lockstep.Secrets;

/// <summary>The words for where a version stands, in the database and on the wire.</summary>
internal static class SecretState
{
    public const string Staged = "staged";
    public const string Active = "active";
    public const string Superseded = "superseded";
    public const string Destroyed = "destroyed";
}
