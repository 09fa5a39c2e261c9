using Lockstep.Access;
using Lockstep.Audit;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Fleet;
using Lockstep.Gate;
using Lockstep.Releases;
using Lockstep.Secrets;
using Lockstep.Secrets.Embedded;
using Lockstep.Settings;
using Microsoft.Extensions.Logging;

namespace Lockstep.Server;

/// <summary>
/// The server: everything is made here, by hand, from the settings upwards, and ends in the opposite order. What fails on the way ends the start with the
/// reason.
/// </summary>
internal sealed class LockstepServer : IAsyncDisposable
{
    private readonly Stack<object> _parts = new();
    private readonly ServerOptions _options;
    private readonly ILoggerFactory _loggers;
    private readonly TimeProvider _time;
    private GitLimits _limits = GitLimits.Default;

    private LockstepServer(ServerOptions options, ILoggerFactory loggers, TimeProvider time) => (_options, _loggers, _time) = (options, loggers, time);

    /// <summary>Where the interface answers, with the port that was taken.</summary>
    public string Address { get; private set; } = "";

    /// <summary>Where health and metrics answer.</summary>
    public string ManagementAddress { get; private set; } = "";

    public Gate.Gate Gate { get; private set; } = null!;

    public GitRepository Repository { get; private set; } = null!;

    /// <summary>Starts and returns when requests are answered.</summary>
    /// <exception cref="LockstepException">Why it can't start, and the way out.</exception>
    public static async Task<LockstepServer> StartAsync(
        ServerOptions options, ILoggerFactory loggers, TimeProvider time, CancellationToken cancellationToken, GitLimits? limits = null)
    {
        var server = new LockstepServer(options, loggers, time) { _limits = limits ?? GitLimits.Default };
        try
        {
            await server.StartAsync(cancellationToken);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Stops taking requests, lets those under way finish, then closes everything.</summary>
    public async ValueTask DisposeAsync()
    {
        while (_parts.TryPop(out var part))
        {
            if (part is IAsyncDisposable asynchronous) await asynchronous.DisposeAsync();
            else ((IDisposable)part).Dispose();
        }
    }

    private async Task StartAsync(CancellationToken cancellationToken)
    {
        var data = Own(await DataStore.OpenAsync(_options, _loggers, _time, cancellationToken));
        // The keys are fetched while the rest starts; an issuer that does not answer holds up nobody.
        data.Issuers.Start();
        await SettingsRecord.CompareAsync(data.Audit, _options, _time.GetUtcNow(), cancellationToken);
        // Before anything can be disclosed, and closed after all that has something to record.
        var keeper = Own(await AuditKeeper.StartAsync(data.Audit, _options, _loggers, _time, cancellationToken));
        var operation = _options.Operation;
        var tls = operation.Tls is { } files ? Own(TlsCertificate.Open(files, _time, _loggers)) : null;
        if (operation.Otlp is { } otlp) Own(new OtlpExport(otlp, _loggers.CreateLogger<OtlpExport>()));
        var health = new Health(_time) { Certificate = tls, MasterKey = data.MasterKey, Audit = keeper };
        // Health answers before the repository is there, so that a slow clone is a start under way and not a dead process.
        ManagementAddress = Own(await ManagementHost.StartAsync(_options.Management, tls, (health, Own(new OpenMetrics())), _loggers, cancellationToken)).Address;
        var mounts = new SecretMounts(new EmbeddedStore(data.Database, data.MasterKey, _time), new Dictionary<string, ISecretStore>(StringComparer.Ordinal));
        var secrets = new SecretReader(mounts, _time);
        var releases = new ReleaseStore(data.Database);
        var newest = await releases.NewestAsync(cancellationToken);
        await ReleaseMark.CheckAsync(_options, data.Database, newest, _loggers.CreateLogger<ReleaseMark>(), cancellationToken);
        Repository = Own(await OpenRepositoryAsync(newest, cancellationToken));
        var renderer = new DocumentRenderer(data.Keys.ETag);
        var cipher = _options.Spring.EncryptKeyFile is { } keyFile ? CipherKey.Read(keyFile, data.Keys.CipherIdentity) : null;
        var sources = Own(new SourceLoader(Repository.Reader, cipher));
        var resolver = new ReleaseResolver(new DocumentResolver(sources, secrets), releases, Repository.Reader);
        var evaluator = new ReleaseEvaluator(resolver, sources, renderer.Render);
        var known = new KnownDocuments(data.Database);
        var lane = Own(new ReleaseLane(evaluator, known, Repository, data.Database, _time));
        Gate = new Gate.Gate
        {
            Lane = lane,
            History = Own(new DocumentHistory(data.Database, evaluator, _options.Config.Branch)),
            Repository = Repository,
            Candidates = Own(new CandidateEvaluator(lane, evaluator, _time)),
            Sources = new ReleaseSources(resolver, sources, Own(new RepositoryFiles(Repository))),
            Refresh = Own(new GitRefresh(Repository, lane, new RefreshSchedule(_options.Config.Refresh, _time), _options.Config.Branch)),
            Mounts = mounts,
            Secrets = secrets,
            Tokens = data.Tokens,
            Authenticator = data.Authenticator,
            Cursors = new ListCursors(data.Keys.Cursors),
            Audit = data.Audit,
            Fleet = new FleetTable(),
            Database = data.Database,
            MasterKey = data.MasterKey,
            CipherKey = cipher,
            Options = _options,
            Time = _time,
        };
        await LoadAsync(lane, newest, known, cancellationToken);
        Own(ReleaseMark.Start(_options.Data, data.Database, lane));

        var failures = new FailedAuthentications(_time);
        var access = (data.Authenticator, failures, new RateLimits(operation.RequestsPerSecond, _time));
        // Statement order matters: what is owned last ends first: requests, then the work in the background, then what both use.
        Own(BackgroundWork.Start(Gate, known, failures, keeper, _loggers));
        var api = Own(await ApiHost.StartAsync(_options, tls, Gate, access, health, _loggers, cancellationToken));
        Address = api.Address;
        Own(new ServerMetrics(data.Database, lane, data.Audit, _time)).Publish();
        health.Started(data.Database, lane, _options.Data);
    }

    private Task<GitRepository> OpenRepositoryAsync(ReleaseState newest, CancellationToken cancellationToken) => GitRepository.OpenAsync(
        _options.Config, _options.Data, (_loggers.CreateLogger<GitRepository>(), _time, _limits), cancellationToken, newest.Refs.ContainsKey(GitNames.BranchRef(_options.Config.Branch)),
        masterFallback: _options.Compat.Spring && _options.Spring is { TryMaster: true, DefaultLabel: null });

    // The newest release as it was, then what Git and the settings have become since.
    private async Task LoadAsync(ReleaseLane lane, ReleaseState newest, KnownDocuments known, CancellationToken cancellationToken)
    {
        var now = _time.GetUtcNow();
        var documents = await known.ListAsync(now - KnownDocuments.Retention, cancellationToken);
        var listed = _options.Known.Select(k => (Key: new DocumentKey(k.Service, k.Environment), Usage: new DocumentUsage(now.ToUnixTimeMilliseconds()) { IsListed = true }));
        var all = listed.Concat(documents.Select(d => (d.Key, Usage: new DocumentUsage(d.LastServedAt)))).DistinctBy(d => d.Key).ToList();
        // Before the first release there is nothing that a document could be.
        if (newest.Number > 0) await lane.LoadAsync(newest, all, cancellationToken);
        if (Repository.OpenFailure is { } failure) lane.MarkStale(failure.Message, Repository.FetchedAt);
        await Gate.FollowAsync(CallContext.System("git"), cancellationToken);
        if (newest.Number == 0) await lane.LoadAsync(lane.Live.Release, all, cancellationToken);
    }

    private T Own<T>(T part)
        where T : notnull
    {
        _parts.Push(part);
        return part;
    }
}
