using Lockstep.Access;
using Lockstep.Audit;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Releases;
using Microsoft.Extensions.Logging;

namespace Lockstep.Server;

/// <summary>What the server does by itself: follow the repository, look at the tokens, and keep its books and the record.</summary>
internal sealed partial class BackgroundWork : IAsyncDisposable
{
    private static readonly TimeSpan s_bookkeeping = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan s_settling = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan s_maintenance = TimeSpan.FromDays(1);

    // More often than needed, so that a server that is started anew each day does it too.
    private static readonly TimeSpan s_retention = TimeSpan.FromHours(1);

    // A document that is read all day is written once an hour.
    private static readonly TimeSpan s_usageGrain = TimeSpan.FromHours(1);

    private static readonly TimeSpan s_tokenUsageGrain = TimeSpan.FromMinutes(5);

    private readonly CancellationTokenSource _stop = new();
    private readonly Gate.Gate _gate;
    private readonly KnownDocuments _known;
    private readonly FailedAuthentications _failures;
    private readonly ILogger _log;
    private readonly Dictionary<DocumentKey, long> _saved = [];
    private Task _running = Task.CompletedTask;

    private BackgroundWork(Gate.Gate gate, KnownDocuments known, FailedAuthentications failures, ILogger log) =>
        (_gate, _known, _failures, _log) = (gate, known, failures, log);

    public static BackgroundWork Start(Gate.Gate gate, KnownDocuments known, FailedAuthentications failures, AuditKeeper keeper, ILoggerFactory loggers)
    {
        var work = new BackgroundWork(gate, known, failures, loggers.CreateLogger<BackgroundWork>());
        work._running = Task.WhenAll(
            work.RepeatAsync("refresh", gate.Refresh.Schedule.DueAsync, work.RefreshAsync),
            work.RepeatAsync("look at the tokens", work.Every(s_settling), work.LookAtTokensAsync),
            work.RepeatAsync("bookkeeping", work.Every(s_bookkeeping), work.KeepBooksAsync),
            work.RepeatAsync("checkpoint of the audit record", work.Every(s_bookkeeping), keeper.CheckpointAsync),
            work.RepeatAsync("deletion of old audit entries", work.Every(s_retention), stop => work.ForgetAsync(keeper, stop)),
            work.RepeatAsync("repository maintenance", work.Every(s_maintenance), gate.Repository.MaintainAsync));
        return work;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        try
        {
            await RecordFailuresAsync(CancellationToken.None);
        }
        catch (LockstepException e)
        {
            LogFailed("record of failed authentications", e.Message);
        }
        _stop.Dispose();
    }

    // A tenth of jitter, so that many servers do not work in step.
    private Func<CancellationToken, Task> Every(TimeSpan interval) =>
        stop => Task.Delay(interval * (0.95 + Random.Shared.NextDouble() / 10), _gate.Time, stop);

    private async Task RepeatAsync(string name, Func<CancellationToken, Task> due, Func<CancellationToken, Task> work)
    {
        var failing = false;
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await due(_stop.Token);
                await work(_stop.Token);
                if (failing) LogRecovered(name);
                failing = false;
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // Once per outage: an hour without the remote is one line, not a hundred and twenty.
                if (!failing) LogFailed(name, (e as LockstepException)?.Message ?? e.ToString());
                failing = true;
            }
        }
    }

    private Task LookAtTokensAsync(CancellationToken cancellationToken)
    {
        _gate.Authenticator.EndRequests();
        return _gate.SettleTokensAsync(cancellationToken);
    }

    private async Task RefreshAsync(CancellationToken cancellationToken)
    {
        var before = _gate.Lane.Live.Release.Number;
        var outcome = await _gate.RefreshAsync(CallContext.System("git"), cancellationToken);
        if (outcome.Release.Number != before) LogReleased(outcome.Release.Number, outcome.Changes.Length);
    }

    private async Task KeepBooksAsync(CancellationToken cancellationToken)
    {
        await RecordFailuresAsync(cancellationToken);
        await _gate.KeepTokensAsync(s_tokenUsageGrain, cancellationToken);
        var now = _gate.Time.GetUtcNow();
        var before = now - KnownDocuments.Retention;
        var forgotten = await _gate.Lane.ForgetAsync(before, cancellationToken);
        var used = _gate.Lane.Live.Documents
            .Select(d => (d.Key, At: d.Value.Usage.LastServedAt))
            .Where(d => d.At - _saved.GetValueOrDefault(d.Key) >= s_usageGrain.TotalMilliseconds).ToList();
        if (used.Count == 0 && forgotten.Count == 0) return;
        await _known.SaveUsageAsync(used, forgotten, before, cancellationToken);
        foreach (var (key, at) in used) _saved[key] = at;
        foreach (var key in forgotten) _saved.Remove(key);
    }

    private async Task ForgetAsync(AuditKeeper keeper, CancellationToken cancellationToken)
    {
        var retention = _gate.Options.Audit.Retention;
        await keeper.RetainAsync(retention, cancellationToken);
        await _gate.Database.WriteAsync(session => { TokenRecord.DeleteExpired(session, _gate.Time.GetUtcNow() - retention); return true; }, cancellationToken);
    }

    private async Task RecordFailuresAsync(CancellationToken cancellationToken)
    {
        var entries = _failures.Drain();
        try
        {
            await Task.WhenAll(entries.Select(e => _gate.Audit.RecordAsync(e, cancellationToken)));
        }
        catch
        {
            _failures.PutBack(entries);
            throw;
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Release {Release} changed {Documents} known documents")]
    private partial void LogReleased(long release, int documents);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The {Work} fails and will be tried again: {Reason}")]
    private partial void LogFailed(string work, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "The {Work} works again")]
    private partial void LogRecovered(string work);
}
