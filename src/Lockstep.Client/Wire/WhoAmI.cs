namespace Lockstep.Client;

/// <summary>Who the server takes the caller for (<c>GET /v1/whoami</c>). A null list is not narrowed.</summary>
public sealed record WhoAmI
{
    /// <summary>The public id of the token.</summary>
    public required string Id { get; init; }

    /// <summary>The name of the token.</summary>
    public required string Name { get; init; }

    /// <summary>The role.</summary>
    public required string Role { get; init; }

    /// <summary>The permissions, such as <c>config:read</c>.</summary>
    public IReadOnlyList<string> Permissions { get; init => field = value ?? []; } = [];

    /// <summary>Globs of the services they hold for.</summary>
    public IReadOnlyList<string>? Services { get; init; }

    /// <summary>Globs of the environments they hold for.</summary>
    public IReadOnlyList<string>? Environments { get; init; }

    /// <summary>Globs of the secret ids they hold for.</summary>
    public IReadOnlyList<string>? Secrets { get; init; }

    /// <summary>When the token ends by itself; null: never.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }
}
