namespace Lockstep.Settings;

/// <summary>Where configuration comes from (<c>config:</c>).</summary>
internal sealed record ConfigOptions
{
    /// <summary>A local path or a <c>file:</c>, <c>http(s):</c> or <c>ssh:</c> URL; null: the embedded bare repository.</summary>
    public string? Url { get; init; }

    /// <summary>The tracked branch.</summary>
    public string Branch { get; init; } = "main";

    /// <summary>How often to fetch.</summary>
    public TimeSpan Refresh { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Directories searched after the root, later ones winning; may hold <c>{application}</c>, <c>{profile}</c>, <c>{label}</c> and directory wildcards.</summary>
    public IReadOnlyList<string> SearchPaths { get; init; } = [];

    /// <summary>How to log in to the remote.</summary>
    public GitCredentials? Credentials { get; init; }

    /// <summary>File with the secret that webhooks are signed with; null: none are taken.</summary>
    public string? WebhookSecretFile { get; init; }

    /// <summary>How long what was resolved is served while the remote does not answer.</summary>
    public TimeSpan MaxStale { get; init; } = TimeSpan.FromHours(24);
}

/// <summary>How to log in to a Git remote. Secrets come from files or variables, never from the URL.</summary>
internal sealed record GitCredentials
{
    /// <summary>User name for HTTP; any for a token.</summary>
    public string Username { get; init; } = "git";

    /// <summary>File with the HTTP password or token.</summary>
    public string? PasswordFile { get; init; }

    /// <summary>Name of the environment variable with the HTTP password or token.</summary>
    public string? PasswordEnv { get; init; }

    /// <summary>File with the private SSH key.</summary>
    public string? SshKeyFile { get; init; }

    /// <summary>File with the known host keys for SSH; default: the user's own.</summary>
    public string? KnownHostsFile { get; init; }
}
