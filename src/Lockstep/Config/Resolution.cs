using System.Collections.Immutable;
using System.Text.Json;
using Lockstep.Secrets;

namespace Lockstep.Config;

/// <summary>
/// What one document comes to at one commit with one set of active secret versions: its values as templates, the secret versions they are
/// filled from, and everything it depends on. Immutable; with <see cref="Errors"/> it has no values.
/// </summary>
internal sealed record Resolution(DocumentKey Key, string LabelName, string Commit)
{
    /// <summary>Sorted by key, ordinal.</summary>
    public ImmutableArray<ResolvedEntry> Values { get; init; } = [];

    public ImmutableDictionary<SecretRef, BoundSecret> Secrets { get; init; } = ImmutableDictionary<SecretRef, BoundSecret>.Empty;

    public FileDependencies Files { get; init; } = new([], []);

    /// <summary>Secrets it refers to, whether they exist or not.</summary>
    public ImmutableArray<SecretId> SecretIds { get; init; } = [];

    /// <summary>Those references, each once.</summary>
    public ImmutableArray<SecretRef> References { get; init; } = [];

    public ImmutableArray<ConfigError> Errors { get; init; } = [];

    public ImmutableArray<ConfigError> Warnings { get; init; } = [];

    /// <summary>Whether a file named after the service itself exists.</summary>
    public bool HasOwnFile { get; init; }

    /// <summary>The release it was pinned to, when it was resolved there instead of at the present.</summary>
    public long? Pinned { get; init; }

    public bool IsValid => Errors.IsEmpty;

    /// <summary>Why it is not valid, in a line; empty when it is.</summary>
    public string Reason => ReasonOf(Errors);

    /// <summary>Errors in a line; empty without any.</summary>
    public static string ReasonOf(ImmutableArray<ConfigError> errors) => errors.Length switch
    {
        0 => "",
        1 => errors[0].ToString(),
        _ => $"{errors[0]} (and {errors.Length - 1} more)",
    };
}

/// <summary>The version a reference stands for, with its value.</summary>
internal sealed record BoundSecret(int Version, SecretValue Value)
{
    /// <summary>What a field of it is as a value; the whole is text.</summary>
    public ScalarKind KindOf(string? field) => Value.KindOf(field) switch
    {
        JsonValueKind.Number => ScalarKind.Number,
        JsonValueKind.True or JsonValueKind.False => ScalarKind.Boolean,
        _ => ScalarKind.String,
    };
}
