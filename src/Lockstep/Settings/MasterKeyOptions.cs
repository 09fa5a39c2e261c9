namespace Lockstep.Settings;

/// <summary>Where the master key comes from (<c>masterKey:</c>); <see cref="Env"/> wins when both are set.</summary>
internal sealed record MasterKeyOptions
{
    /// <summary>File with 32 bytes in base64, made on the first start; null: <c>master.key</c> in the data directory.</summary>
    public string? File { get; init; }

    /// <summary>Name of the environment variable with 32 bytes in base64.</summary>
    public string? Env { get; init; }
}
