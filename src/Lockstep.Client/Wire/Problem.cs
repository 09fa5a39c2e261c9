namespace Lockstep.Client;

/// <summary>An error body as RFC 9457 describes it, <c>application/problem+json</c>.</summary>
public sealed record Problem
{
    /// <summary>Always <c>about:blank</c>: the code says what happened.</summary>
    public string Type { get; init => field = value ?? "about:blank"; } = "about:blank";

    /// <summary>The short title of the code.</summary>
    public string Title { get; init => field = value ?? ""; } = "";

    /// <summary>The HTTP status.</summary>
    public int Status { get; init; }

    /// <summary>The stable code, see <see cref="ErrorCode"/>.</summary>
    public string Code { get; init => field = value ?? ""; } = "";

    /// <summary>What failed, which name, and the way out.</summary>
    public string Detail { get; init => field = value ?? ""; } = "";

    /// <summary>Where the configuration is wrong, one by one.</summary>
    [System.Text.Json.Serialization.JsonIgnore(Condition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<ProblemError>? Errors { get; init; }
}
