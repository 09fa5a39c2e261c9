using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Settings;
using Microsoft.Extensions.Logging;

namespace Lockstep.Audit;

/// <summary>Looks after the record while the server runs: its sinks, its checkpoints, and how old it gets.</summary>
internal sealed partial class AuditKeeper : IAsyncDisposable
{
    private readonly AuditLog _log;
    private readonly AuditCheckpoints _checkpoints;
    private readonly AuditRetention _retention;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private List<SinkFollower> _sinks = [];
    private AuditTail? _noted;
    private volatile string? _warning;
    private volatile string? _unnoted;

    private AuditKeeper(AuditLog log, AuditCheckpoints checkpoints, TimeProvider time, ILogger logger) =>
        (_log, _checkpoints, _retention, _time, _logger) = (log, checkpoints, new AuditRetention(log, checkpoints, time), time, logger);

    /// <summary>Compares the record with its checkpoints, opens the sinks and begins to follow.</summary>
    /// <exception cref="LockstepException">unavailable when a sink or the checkpoints can't be opened.</exception>
    public static async Task<AuditKeeper> StartAsync(AuditLog log, ServerOptions options, ILoggerFactory loggers, TimeProvider time, CancellationToken cancellationToken)
    {
        var audit = options.Audit;
        var checkpoints = new AuditCheckpoints(audit.Checkpoints ?? Path.Join(options.Data, "audit.checkpoints"), log.Derive("checkpoints"), time);
        var keeper = new AuditKeeper(log, checkpoints, time, loggers.CreateLogger<AuditKeeper>());
        try
        {
            await keeper.CompareAsync(cancellationToken);
            await keeper.CheckpointAsync(cancellationToken);
            var source = new SinkSource(log.Database, log.Chain, log.Node, log.Derive("anchor"), time);
            IAuditSink?[] sinks = [audit.File is null ? null : new AuditFileSink(audit, time), audit.Stdout ? AuditStreamSink.Stdout() : null];
            foreach (var sink in sinks.OfType<IAuditSink>()) keeper._sinks.Add(await SinkFollower.StartAsync(sink, source, loggers.CreateLogger<SinkFollower>(), cancellationToken));
            log.Attach(keeper._sinks, checkpoints);
            return keeper;
        }
        catch
        {
            foreach (var sink in keeper._sinks) await sink.DisposeAsync();
            throw;
        }
    }

    /// <summary>Whether what must be recorded can be, as far as it depends on the sinks; and what there is to say.</summary>
    public (bool Works, string Text) State()
    {
        if (_log.SinkFailure is var (sink, failure)) return (false, $"{sink.Name} can't be written since {failure.Since:O}: {failure.Reason}");
        if (_log.Sinks.FirstOrDefault(s => !s.HasCaughtUp) is { } late) return (false, $"{late.Name} has the record up to entry {late.Position}; the rest is being written");
        var warning = _log.Sinks.Select(s => s.Conflict?.Reason).FirstOrDefault(r => r is not null) ?? _warning ?? _unnoted;
        return (true, warning is null ? "ok" : "warning: " + warning);
    }

    /// <summary>Notes outside the database how far the record has come, if it has.</summary>
    public async Task CheckpointAsync(CancellationToken cancellationToken)
    {
        try
        {
            var tail = await _log.Database.ReadAsync(session => AuditChain.Tail(session, _log.Node), cancellationToken);
            if (tail.Seq == 0 || (_noted is { } before && before.Seq == tail.Seq && CryptographicOperations.FixedTimeEquals(before.Mac, tail.Mac))) return;
            if (_noted is { } last && last.Seq > tail.Seq) Warn($"the record ended before entry {last.Seq}, which a checkpoint saw");
            await _checkpoints.AddAsync(_log.Node, tail, _time.GetUtcNow(), cancellationToken);
            (_noted, _unnoted) = (tail, null);
        }
        catch (LockstepException e)
        {
            _unnoted = e.Message;
            throw;
        }
    }

    /// <summary>Deletes what is older than it shall get.</summary>
    public async Task RetainAsync(TimeSpan age, CancellationToken cancellationToken)
    {
        var deleted = await _retention.RunAsync(_time.GetUtcNow() - age, cancellationToken);
        if (deleted > 0) LogDeleted(deleted);
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await CheckpointAsync(CancellationToken.None);
        }
        catch (LockstepException e)
        {
            LogNoCheckpoint(e.Message);
        }
        foreach (var sink in _sinks) await sink.DisposeAsync();
    }

    // The last word of the checkpoints, before there is a new one. All of them are for `audit verify`.
    private async Task CompareAsync(CancellationToken cancellationToken)
    {
        var lines = await _checkpoints.ReadAsync(cancellationToken);
        if (lines.ToList().IndexOf(null) is var odd and >= 0)
        {
            _warning = $"line {odd + 1} of the checkpoints was not made by this server, or was changed; run: lockstep audit verify";
            LogOdd(odd + 1);
        }
        var noted = lines.OfType<SignedTail>().Where(c => c.Node == _log.Node).MaxBy(c => c.Seq);
        if (noted is null) return;
        var (tail, row) = await _log.Database.ReadAsync(s => (AuditChain.Tail(s, _log.Node), AuditRow.After(s, _log.Node, noted.Seq - 1, 1)), cancellationToken);
        if (noted.Seq > tail.Seq) Warn($"the record ends at entry {tail.Seq}, and the checkpoint of {noted.At:u} saw entry {noted.Seq}");
        else if (row is [var entry] && entry.Seq == noted.Seq && !CryptographicOperations.FixedTimeEquals(entry.Mac, noted.Mac))
            Warn($"entry {noted.Seq} is not the one that the checkpoint of {noted.At:u} saw");
    }

    private void Warn(string reason)
    {
        _warning = reason + "; run: lockstep audit verify";
        LogCut(reason);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The audit record was cut, or put back to an earlier copy: {Reason}; run: lockstep audit verify")]
    private partial void LogCut(string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Line {Line} of the checkpoints of the audit record was not made by this server, or was changed; run: lockstep audit verify")]
    private partial void LogOdd(int line);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Count} entries of the audit record were deleted for their age")]
    private partial void LogDeleted(long count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Reason}")]
    private partial void LogNoCheckpoint(string reason);
}
