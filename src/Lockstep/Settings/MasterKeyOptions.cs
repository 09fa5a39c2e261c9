namespace Lockstep.Settings;

/// <summary>Where the master key comes from (<c>masterKey:</c>): one of the three, the file when none is set.</summary>
internal sealed record MasterKeyOptions
{
    /// <summary>File with 32 bytes in base64, made on the first start; null: <c>master.key</c> in the data directory.</summary>
    public string? File { get; init; }

    /// <summary>Name of the environment variable with 32 bytes in base64.</summary>
    public string? Env { get; init; }

    /// <summary>A Vault that keeps the key encrypted.</summary>
    public VaultTransitOptions? VaultTransit { get; init; }

    /// <summary>Where the key was before; it is needed until everything is wrapped by the present one.</summary>
    public MasterKeyOptions? Previous { get; init; }
}

/// <summary>The Transit engine of a Vault or OpenBao, and how to log in there (<c>masterKey.vaultTransit:</c>).</summary>
internal sealed record VaultTransitOptions
{
    public required Uri Address { get; init; }

    /// <summary>Name of the key in the engine.</summary>
    public required string Key { get; init; }

    /// <summary>Where the engine is mounted.</summary>
    public string Mount { get; init; } = "transit";

    public string? Namespace { get; init; }

    /// <summary>PEM file with the authorities that are trusted; null: those of the system.</summary>
    public string? CaFile { get; init; }

    /// <summary>File with a token; null: <see cref="AppRole"/> is set.</summary>
    public string? TokenFile { get; init; }

    public VaultAppRole? AppRole { get; init; }
}

/// <summary>An AppRole login.</summary>
internal sealed record VaultAppRole(string RoleIdFile, string SecretIdFile, string Mount);
