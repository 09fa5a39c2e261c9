using System.Collections.Immutable;
using System.Net;

namespace Lockstep.Settings;

/// <summary>Everything the server is told: made and checked by <see cref="ServerOptionsLoader"/>. Paths are absolute.</summary>
internal sealed record ServerOptions
{
    /// <summary>Where the interface listens (<c>listen:</c>).</summary>
    public ListenAddress Listen { get; init; } = ListenAddress.Loopback(7400);

    /// <summary>Where metrics and health are served (<c>management:</c>).</summary>
    public ListenAddress Management { get; init; } = ListenAddress.Loopback(7401);

    /// <summary>Networks whose <c>X-Forwarded-*</c> headers are believed.</summary>
    public ImmutableArray<IPNetwork> TrustedProxies { get; init; } = [];

    /// <summary>The data directory.</summary>
    public required string Data { get; init; }

    /// <summary>A <c>postgres://</c> URL, which may hold a password; null: SQLite in the data directory.</summary>
    public string? Database { get; init; }

    public required MasterKeyOptions MasterKey { get; init; }

    public ConfigOptions Config { get; init; } = new();

    public SpringOptions Spring { get; init; } = new();

    public CompatOptions Compat { get; init; } = new();

    /// <summary>Documents that are known whether or not anyone asked for them yet.</summary>
    public IReadOnlyList<KnownDocument> Known { get; init; } = [];

    /// <summary>Roles beside the built-in ones (<c>access.roles:</c>).</summary>
    public IReadOnlyList<RoleOptions> Roles { get; init; } = [];

    /// <summary>Whose tokens are accepted beside the server's own (<c>access.issuers:</c>).</summary>
    public IReadOnlyList<IssuerOptions> Issuers { get; init; } = [];

    /// <summary>How the server is run.</summary>
    public OperationOptions Operation { get; init; } = new();

    /// <summary>Where the record goes, and how long it is kept.</summary>
    public AuditOptions Audit { get; init; } = new();

    /// <summary>The settings as lines of YAML, without what is secret in them.</summary>
    public override string ToString() => SettingsPrinter.Print(this);
}

/// <summary>One entry of <c>known:</c>.</summary>
internal sealed record KnownDocument(string Service, string Environment);
