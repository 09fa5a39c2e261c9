using Lockstep.Client;

namespace Lockstep.Fleet;

/// <summary>One live subscription of one instance, and what it last said of the document it was sent.</summary>
internal sealed class FleetMember
{
    private volatile FleetReport? _applied;
    private volatile FleetReport? _failed;

    public required string TokenId { get; init; }

    public required string Token { get; init; }

    public required string? Instance { get; init; }

    public required string? Address { get; init; }

    public required DateTimeOffset JoinedAt { get; init; }

    /// <summary>The ETag of the document as this member may see it now; null while there is none.</summary>
    public required Func<string?> NewestETag { get; init; }

    public void Report(FleetReport report)
    {
        if (report.Failure is null) (_failed, _applied) = (null, report);
        else _failed = report;
    }

    public FleetInstance ToInstance()
    {
        var (applied, failed) = (_applied, _failed);
        return new FleetInstance
        {
            Instance = Instance,
            Token = Token,
            Address = Address,
            Connected = JoinedAt,
            Release = applied?.Release,
            Since = applied?.At,
            Healthy = failed is null,
            Current = applied is not null && failed is null && applied.ETag == NewestETag(),
            Reason = failed?.Failure,
        };
    }
}

/// <summary>What an instance says of a document: that it runs on it, or, with <paramref name="Failure"/>, why it refused it.</summary>
internal sealed record FleetReport(long Release, string ETag, DateTimeOffset At, string? Failure);
