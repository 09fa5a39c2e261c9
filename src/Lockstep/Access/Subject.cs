using Lockstep.Secrets;

namespace Lockstep.Access;

/// <summary>What a permission is asked for: a service in an environment (of several, each is asked for), a secret, a file, or nothing in particular.</summary>
internal readonly record struct Subject
{
    public string? Service { get; private init; }

    public string? Environment { get; private init; }

    public SecretId? Secret { get; private init; }

    public string? Path { get; private init; }

    public static Subject Nothing => default;

    public static Subject Of(string service, string environment) => new() { Service = service, Environment = environment };

    public static Subject Of(SecretId secret) => new() { Secret = secret };

    public static Subject OfPath(string path) => new() { Path = path };

    public override string ToString() => Secret?.ToString() ?? Path ?? (Service is null ? "" : $"{Service}/{Environment}");
}
