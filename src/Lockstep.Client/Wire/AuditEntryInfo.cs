namespace Lockstep.Client;

/// <summary>One line of the record: who did what to what, from where, and whether it was allowed. Never a value.</summary>
public sealed record AuditEntryInfo
{
    /// <summary>The node that wrote it; each has a chain of its own.</summary>
    public required string Node { get; init; }

    /// <summary>Its place in the node's chain, from 1.</summary>
    public required long Seq { get; init; }

    /// <summary>When.</summary>
    public required DateTimeOffset At { get; init; }

    /// <summary>A stable word: <c>config.read</c>, <c>secret.read</c>, <c>secret.write</c>, <c>token.roll</c>, …</summary>
    public required string Action { get; init; }

    /// <summary><c>allowed</c> or <c>denied</c>.</summary>
    public required string Decision { get; init; }

    /// <summary>The token's name, or <c>system:…</c>.</summary>
    public string? Actor { get; init; }

    /// <summary>The token's public id.</summary>
    public string? TokenId { get; init; }

    /// <summary>The address the request came from.</summary>
    public string? Address { get; init; }

    /// <summary>Instances of the token that the entry stands for.</summary>
    public IReadOnlyList<string> Instances { get; init => field = value ?? []; } = [];

    /// <summary>The trace id of the request.</summary>
    public string? Trace { get; init; }

    /// <summary>By which way: <c>GET /v1/config</c>, <c>watch</c>, …</summary>
    public string? Route { get; init; }

    /// <summary>What it was done to: <c>payments/production</c>, a secret id, a token's name.</summary>
    public string? Subject { get; init; }

    /// <summary>The release that was read or made.</summary>
    public long? Release { get; init; }

    /// <summary>Disclosed or written secrets as <c>id@version</c>, sorted.</summary>
    public IReadOnlyList<string> Secrets { get; init => field = value ?? []; } = [];

    /// <summary>How many equal events of one group commit this entry stands for.</summary>
    public int Count { get; init => field = Math.Max(value, 1); } = 1;

    /// <summary>Anything else, in words.</summary>
    public string? Detail { get; init; }

    /// <summary>The id of the token that <see cref="TokenId"/> was derived from.</summary>
    public string? Parent { get; init; }
}
