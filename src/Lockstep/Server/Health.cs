using Lockstep.Audit;
using Lockstep.Releases;
using Lockstep.Secrets;
using Lockstep.Storage;

namespace Lockstep.Server;

/// <summary>What the probes answer. Live: the process runs. Started: everything is loaded. Ready: started, and what must be recorded can be.</summary>
internal sealed class Health(TimeProvider time)
{
    private const double FullShare = 0.8;

    private volatile Parts? _parts;
    private volatile bool _stopping;

    public bool IsStarted => _parts is not null;

    public bool IsStopping => _stopping;

    /// <summary>The certificate of https listeners, if there are any.</summary>
    public TlsCertificate? Certificate { get; init; }

    public MasterKey? MasterKey { get; init; }

    /// <summary>Who looks after the record.</summary>
    public AuditKeeper? Audit { get; init; }

    public void Started(Database database, ReleaseLane lane, string data) => _parts = new Parts(database, lane, data);

    /// <summary>From here on readiness is refused, so that load balancers turn away before the listener closes.</summary>
    public void Stopping() => _stopping = true;

    /// <summary>Whether requests can be served, and what is wrong. Staleness of the repository is told and does not count: known documents are served.</summary>
    public async Task<(bool Ready, IReadOnlyDictionary<string, string> Checks)> CheckAsync(CancellationToken cancellationToken)
    {
        if (_parts is not { } parts) return (false, new Dictionary<string, string>(StringComparer.Ordinal) { ["start"] = "loading" });
        var failure = await parts.Database.CheckWritableAsync(cancellationToken);
        var audit = Audit?.State() ?? (true, "ok");
        var stale = parts.Lane.Live.Stale;
        var checks = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["database"] = failure is null ? "ok" : $"can't be written since {failure.Since:O}: {failure.Reason}",
            ["audit"] = audit.Text,
            ["repository"] = stale is null ? "ok" : $"stale for {(long)(time.GetUtcNow() - stale.Since).TotalSeconds} s: {stale.Reason}",
            ["release"] = parts.Lane.Live.Release.Number.ToString(System.Globalization.CultureInfo.InvariantCulture),
        };
        if (DiskUse(parts.Data) is var used and >= FullShare) checks["disk"] = $"warning: {used:P0} of the disk of the data directory is used";
        if (Certificate is { } certificate) checks["certificate"] = certificate.State();
        if (MasterKey is { PreviousIsIdle: true }) checks["masterKey"] = "masterKey.previous is not needed any more: take it out of the settings";
        if (MasterKey is { IsChanging: true } or { IsUnsettled: true }) checks["masterKey"] = "it is being changed; if nobody does, run lockstep rekey to finish it";
        if (_stopping) checks["server"] = "stopping";
        return (failure is null && audit.Works && !_stopping, checks);
    }

    private static double DiskUse(string directory)
    {
        var drive = new DriveInfo(directory);
        return drive.TotalSize == 0 ? 0 : 1 - ((double)drive.AvailableFreeSpace / drive.TotalSize);
    }

    private sealed record Parts(Database Database, ReleaseLane Lane, string Data);
}
