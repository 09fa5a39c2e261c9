namespace Lockstep.Audit;

/// <summary>One line of the record: who did what to what, from where, and whether it was allowed. Names, ids and versions only; never a value.</summary>
internal sealed record AuditEntry
{
    public const string Allowed = "allowed";
    public const string Denied = "denied";

    public required DateTimeOffset At { get; init; }

    /// <summary>A stable word: <c>config.read</c>, <c>secret.read</c>, <c>secret.write</c>, <c>token.roll</c>, …</summary>
    public required string Action { get; init; }

    /// <summary><c>allowed</c> or <c>denied</c>.</summary>
    public required string Decision { get; init; }

    /// <summary>The token's name, or <c>system:…</c>.</summary>
    public string? Actor { get; init; }

    public string? TokenId { get; init; }

    public string? Address { get; init; }

    /// <summary>Instances of the token that the entry stands for.</summary>
    public IReadOnlyList<string> Instances { get; init; } = [];

    public string? Trace { get; init; }

    /// <summary>By which way: <c>GET /v1/config</c>, <c>watch</c>, …</summary>
    public string? Route { get; init; }

    /// <summary>What it was done to: <c>payments/production</c>, a secret id, a token's name.</summary>
    public string? Subject { get; init; }

    public long? Release { get; init; }

    /// <summary>Disclosed or written secrets as <c>id@version</c>, sorted.</summary>
    public IReadOnlyList<string> Secrets { get; init; } = [];

    /// <summary>How many equal events of one group commit this entry stands for.</summary>
    public int Count { get; init; } = 1;

    /// <summary>Anything else, in words; bounded.</summary>
    public string? Detail { get; init; }

    /// <summary>The token that <see cref="TokenId"/> was derived from.</summary>
    public string? Parent { get; init; }

    /// <summary>What is shown in place of an entry that was changed.</summary>
    public static AuditEntry Damaged(DateTimeOffset at) => new() { At = at, Action = "damaged", Decision = "", Detail = "the entry is not as it was written; run: lockstep audit verify" };
}
