namespace Lockstep.Client;

/// <summary>A failure with a stable <see cref="ErrorCode"/>. Its message never holds any part of a secret.</summary>
public sealed class LockstepException : Exception
{
    /// <summary>A failure of the given kind; <paramref name="detail"/> says what failed, which name, and the way out.</summary>
    public LockstepException(ErrorCode code, string detail, Exception? inner = null)
        : base(detail, inner) => Code = code;

    /// <summary>What kind of failure it is.</summary>
    public ErrorCode Code { get; }

    /// <summary>Where the configuration is wrong; empty for other failures.</summary>
    public IReadOnlyList<ProblemError> Errors { get; init; } = [];

    /// <summary>How long to wait before trying again, when the server said so.</summary>
    public TimeSpan? RetryAfter { get; init; }
}
