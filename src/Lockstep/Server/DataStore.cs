using Lockstep.Access;
using Lockstep.Access.Jwt;
using Lockstep.Audit;
using Lockstep.Client;
using Lockstep.Releases;
using Lockstep.Secrets;
using Lockstep.Settings;
using Lockstep.Storage;
using Microsoft.Extensions.Logging;

namespace Lockstep.Server;

/// <summary>The data directory, the database and the master key of a server, opened and checked against each other.</summary>
internal sealed partial class DataStore : IAsyncDisposable
{
    private readonly Stack<object> _parts = new();

    private DataStore()
    {
    }

    public Database Database { get; private set; } = null!;

    public MasterKey MasterKey { get; private set; } = null!;

    public AuditLog Audit { get; private set; } = null!;

    public TokenTable Tokens { get; private set; } = null!;

    public Authenticator Authenticator { get; private set; } = null!;

    public JwtIssuers Issuers { get; private set; } = null!;

    /// <summary>The server's own keys, which stay when the master key is changed.</summary>
    public ServerKeys Keys { get; private set; } = null!;

    public static async Task<DataStore> OpenAsync(
        ServerOptions options, ILoggerFactory loggers, TimeProvider time, CancellationToken cancellationToken)
    {
        var store = new DataStore();
        try
        {
            store._parts.Push(DataDirectory.Lock(options.Data, time));
            RemoveSpool(options.Data);
            store._parts.Push(store.Database = await Database.OpenAsync(options.Data, options.Database, loggers, time, cancellationToken));
            store.MasterKey = await MasterKey.OpenAsync(options.MasterKey, options.Data, store.Database, cancellationToken, time);
            // Ends after the database: whatever is still read or written there finds its key.
            store._parts.Pop();
            store._parts.Push(store.MasterKey);
            store._parts.Push(store.Database);
            store.Keys = await store.Database.WriteAsync(session => ServerKeys.Open(session, new KeyRing(store.MasterKey)), cancellationToken);
            store.Audit = new AuditLog(store.Database, store.Keys.Audit, "local");
            await store.FinishRekeyAsync(loggers.CreateLogger<DataStore>(), time, cancellationToken);
            store.Tokens = new TokenTable(RoleSet.From(options.Roles), time);
            store._parts.Push(store.Issuers = new JwtIssuers(options.Issuers, time, loggers.CreateLogger<JwtIssuers>()));
            store.Authenticator = new Authenticator(store.Tokens, new Kills(), store.Issuers, time);
            await store.Database.ReadAsync(session => { store.Authenticator.Load(session); return true; }, cancellationToken);
            return store;
        }
        catch
        {
            await store.DisposeAsync();
            throw;
        }
    }

    /// <summary>Makes the token <paramref name="name"/> with the role admin; one that exists is rolled when <paramref name="roll"/> says so.</summary>
    /// <exception cref="LockstepException">conflict when there are tokens already.</exception>
    public async Task<string> AdminTokenAsync(string name, bool roll, TimeProvider time, CancellationToken cancellationToken)
    {
        var self = Caller.System("init");
        var change = await Database.WriteAsync(session =>
        {
            var exists = Tokens.Find(name) is not null;
            if (!roll && Tokens.All.Count > 0)
                throw new LockstepException(ErrorCode.Conflict, $"there are tokens already; if every admin token is lost, 'lockstep init --roll' gives '{name}' a new secret");
            var made = exists ? Tokens.Roll(session, self, name, TimeSpan.Zero) : Tokens.Create(session, self, new NewToken(name, "admin"));
            var action = exists ? "token.roll" : "token.create";
            ReleaseStore.WriteJournal(session, null, "token", self.Name, time.GetUtcNow(), $"{action} {name}");
            Audit.Append(session, new AuditEntry
            {
                At = time.GetUtcNow(),
                Action = action,
                Decision = AuditEntry.Allowed,
                Actor = self.Name,
                TokenId = self.TokenId,
                Route = "init",
                Subject = name,
                Detail = $"token {made.Record.Id}, role admin",
            });
            return made;
        }, cancellationToken);
        Tokens.Apply(change);
        return change.Token!.Value.Export();
    }

    // A change of the master key that was cut short, or that the settings ask for: before anything is served.
    private async Task FinishRekeyAsync(ILogger log, TimeProvider time, CancellationToken cancellationToken)
    {
        if (MasterKey.PreviousIsIdle) LogPreviousIsIdle(log);
        if (!MasterKey.IsChanging) return;
        LogRekeying(log);
        var self = Caller.System("rekey");
        var result = await MasterKey.FinishAsync((session, done) => Audit.Append(session, new AuditEntry
        {
            At = time.GetUtcNow(),
            Action = "key.rekey",
            Decision = AuditEntry.Allowed,
            Actor = self.Name,
            TokenId = self.TokenId,
            Route = "start",
            Detail = Gate.Gate.Describe(done),
        }), cancellationToken);
        LogRekeyed(log, result.Rewrapped, result.Damaged);
    }

    // A server that was killed while it made a backup left it. Where it can't be removed it does no harm but for its size.
    private static void RemoveSpool(string data)
    {
        try
        {
            File.Delete(Path.Combine(data, Gate.Gate.SpoolName));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What needs the directory says so.
        }
    }

    public async ValueTask DisposeAsync()
    {
        while (_parts.TryPop(out var part))
        {
            if (part is IAsyncDisposable asynchronous) await asynchronous.DisposeAsync();
            else ((IDisposable)part).Dispose();
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The master key is being changed: what the previous one wraps is wrapped anew before anything is served")]
    private static partial void LogRekeying(ILogger log);

    [LoggerMessage(Level = LogLevel.Information, Message = "The master key is changed: {Rewrapped} keys are wrapped anew, {Damaged} were damaged before and are left; masterKey.previous may be taken out of the settings")]
    private static partial void LogRekeyed(ILogger log, int rewrapped, int damaged);

    [LoggerMessage(Level = LogLevel.Warning, Message = "masterKey.previous is not needed any more: take it out of the settings, and put that key away with the backups that were made under it")]
    private static partial void LogPreviousIsIdle(ILogger log);
}
