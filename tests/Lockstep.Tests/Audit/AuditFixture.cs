using Lockstep.Audit;
using Lockstep.Client;
using Lockstep.Storage;
using Lockstep.Tests.Support;

namespace Lockstep.Tests.Audit;

/// <summary>A log over a real database, and ways to damage it behind the log's back.</summary>
internal sealed class AuditFixture : IAsyncDisposable
{
    public static readonly byte[] Key = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];
    private readonly TestDatabase _place;
    private readonly List<SinkFollower> _sinks = [];

    private AuditFixture(TestDatabase place, Database database)
    {
        _place = place;
        Database = database;
        Log = new AuditLog(database, Key, "node-1");
    }

    public Database Database { get; }

    public AuditLog Log { get; private set; }

    public ManualTime Time { get; } = new();

    public TempDirectory Directory => _place.Directory;

    public AuditCheckpoints Checkpoints => new(_place.Directory.File("audit.checkpoints"), Log.Derive("checkpoints"), Time);

    /// <summary>From now on the log waits for these sinks too.</summary>
    public async Task FollowAsync(params IAuditSink[] sinks)
    {
        var source = new SinkSource(Database, Log.Chain, Log.Node, Log.Derive("anchor"), Time);
        foreach (var sink in sinks) _sinks.Add(await SinkFollower.StartAsync(sink, source, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance, CancellationToken.None));
        Log.Attach([.. _sinks], Checkpoints);
    }

    /// <summary>As a new start of the server would have it.</summary>
    public async Task ForgetAsync()
    {
        foreach (var sink in _sinks) await sink.DisposeAsync();
        _sinks.Clear();
        Log = new AuditLog(Database, Key, "node-1");
        Log.Attach([], Checkpoints);
    }

    public async Task CheckpointAsync() =>
        await Checkpoints.AddAsync(Log.Node, await Database.ReadAsync(s => AuditChain.Tail(s, Log.Node), CancellationToken.None), Time.GetUtcNow(), CancellationToken.None);

    public Task<long> RetainAsync(TimeSpan age) => new AuditRetention(Log, Checkpoints, Time).RunAsync(Time.GetUtcNow() - age, CancellationToken.None);

    public static async Task<AuditFixture> SqliteAsync() => await OpenAsync(TestDatabase.Sqlite());

    public static async Task<AuditFixture> PostgresAsync() => await OpenAsync(await TestDatabase.PostgresAsync());

    public static AuditEntry Entry(string action = "config.read", string? token = "t1", string? instance = null, string decision = AuditEntry.Allowed, string? subject = "payments/dev") => new()
    {
        At = DateTimeOffset.FromUnixTimeMilliseconds(1_900_000_000_123),
        Action = action,
        Decision = decision,
        Actor = "ci",
        TokenId = token,
        Instances = instance is null ? [] : [instance],
        Subject = subject,
        Secrets = ["a/b@1", "c@2"],
    };

    public Task<int> ExecuteAsync(string sql) => Database.WriteAsync(s => s.Execute(sql), CancellationToken.None);

    public async Task<IReadOnlyList<AuditEntry>> AllAsync() =>
        [.. (await Log.AfterAsync(new AuditQuery { Limit = 1000 }, 0, CancellationToken.None)).Select(r => r.Parse()!)];

    public Task<AuditVerification> VerifyAsync() => Log.VerifyAsync(CancellationToken.None);

    /// <summary>Holds the writer until the returned action is called, so that what comes meanwhile waits together.</summary>
    public async Task<Action> HoldWriterAsync()
    {
        var entered = new TaskCompletionSource();
        var release = new ManualResetEventSlim();
        _ = Database.WriteAsync(_ => { entered.SetResult(); release.Wait(TimeSpan.FromSeconds(30)); return true; }, CancellationToken.None);
        await entered.Task;
        return release.Set;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var sink in _sinks) await sink.DisposeAsync();
        await Database.DisposeAsync();
        _place.Dispose();
    }

    private static async Task<AuditFixture> OpenAsync(TestDatabase place) => new(place, await place.OpenAsync());
}
