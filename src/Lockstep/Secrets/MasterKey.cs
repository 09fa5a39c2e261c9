using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Secrets;

/// <summary>
/// The key that all others hang on: it wraps the data keys of secrets and the keys of the <see cref="KeyRing"/>. The database keeps a check value, so that a
/// wrong key is found at the start and not at the first secret. While it is being changed there are two: the new one wraps, both unwrap.
/// </summary>
internal sealed class MasterKey : IDisposable
{
    private readonly Database _database;
    private readonly IMasterKeySource _source;
    private volatile Pair _keys;

    private MasterKey(Database database, IMasterKeySource source, RootKey current, RootKey? previous) =>
        (_database, _source, _keys) = (database, source, new Pair(current, previous));

    /// <summary>Whether there is a key before the present one that something may still be wrapped by.</summary>
    public bool IsChanging => _keys.Previous is not null;

    /// <summary>Whether the change is done but for the new key's place: its source could not put it where the old one is.</summary>
    public bool IsUnsettled { get; private set; }

    /// <summary>Whether the settings name a previous key that nothing needs any more.</summary>
    public bool PreviousIsIdle => HasPrevious && !IsChanging;

    /// <summary>By what the key is known again; it tells nothing else.</summary>
    public byte[] Check => _keys.Current.Check;

    /// <summary>The present key as a Vault encrypted it; null when none did.</summary>
    public string? Sealed { get; private set; }

    private bool HasPrevious { get; init; }

    /// <summary>Called between the steps of a change, so that a test can stop it there.</summary>
    internal Action<string>? Stepping { get; set; }

    /// <summary>
    /// Reads the key and compares it with the database's check value. On the first start it is made. Where the settings name another key than the database's
    /// and the previous one is the database's, the change begins; <see cref="FinishAsync"/> does the rest of it.
    /// </summary>
    /// <exception cref="LockstepException">conflict when the key is missing, malformed, readable by others, or not this database's; unavailable when its place does not answer.</exception>
    public static async Task<MasterKey> OpenAsync(
        MasterKeyOptions options, string dataDirectory, Database database, CancellationToken cancellationToken, TimeProvider? time = null)
    {
        var source = SourceOf(options, dataDirectory, time ?? TimeProvider.System);
        using var before = options.Previous is { } previous ? SourceOf(previous, dataDirectory, time ?? TimeProvider.System) : null;
        try
        {
            var state = await database.WriteAsync(MasterKeyState.Read, cancellationToken);
            if (state.Check is null)
            {
                var first = await source.FirstAsync(state, cancellationToken);
                state = await database.WriteAsync(s => { MasterKeyState.Found(s, first); return MasterKeyState.Read(s); }, cancellationToken);
                return Checked(first.Key.Is(state.Check!), first.Key, null);
            }
            if (state.Next is { } next) return await ResumeAsync(next, state.Check);
            if (await source.FindAsync(state.Check, state, cancellationToken) is { } key)
            {
                source.Settle(key);
                return new MasterKey(database, source, key, null) { HasPrevious = before is not null, Sealed = state.Sealed };
            }
            if (before is null) throw source.Refusal();
            var old = await before.FindAsync(state.Check, state, cancellationToken) ?? throw before.Refusal();
            var made = await source.FirstAsync(state, cancellationToken);
            state = await database.WriteAsync(s => { MasterKeyState.Begin(s, made); return MasterKeyState.Read(s); }, cancellationToken);
            return Checked(true, made.Key, old);

            async Task<MasterKey> ResumeAsync(byte[] after, byte[] check)
            {
                var current = await source.FindAsync(after, state, cancellationToken) ?? throw Unfinished("new", source);
                var former = await source.FindAsync(check, state, cancellationToken) ?? (before is null ? null : await before.FindAsync(check, state, cancellationToken));
                if (former is null) current.Dispose();
                return Checked(true, current, former ?? throw Unfinished("old", before ?? source));
            }

            MasterKey Checked(bool fits, RootKey current, RootKey? former)
            {
                if (fits) return new MasterKey(database, source, current, former) { HasPrevious = before is not null, Sealed = former is null ? state.Sealed : state.SealedNext };
                current.Dispose();
                throw source.Refusal();
            }
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>The key for one purpose; it is another one after the master key was changed, so what must stay goes into the <see cref="KeyRing"/>.</summary>
    public byte[] Derive(string purpose) => _keys.Current.Derive(purpose);

    /// <summary>The same of the key that the database was made with: until a change ends, that is the previous one.</summary>
    public byte[] DeriveOfDatabase(string purpose)
    {
        var keys = _keys;
        return (keys.Previous ?? keys.Current).Derive(purpose);
    }

    /// <summary>Encrypts a data key; the associated data says what it is for. Inside the write that keeps it: a change of the key counts on that.</summary>
    public byte[] Wrap(ReadOnlySpan<byte> dataKey, ReadOnlySpan<byte> associatedData) => _keys.Current.Wrap(dataKey, associatedData);

    /// <exception cref="CryptographicException">Not what was wrapped with this associated data, or wrapped by a key that was changed since.</exception>
    public byte[] Unwrap(ReadOnlySpan<byte> wrapped, ReadOnlySpan<byte> associatedData)
    {
        var keys = _keys;
        try
        {
            return keys.Current.Unwrap(wrapped, associatedData);
        }
        catch (CryptographicException) when (keys.Previous is not null)
        {
            return UnwrapOld(keys.Previous, wrapped, associatedData);
        }
    }

    // It may have been forgotten meanwhile: what it wrapped is wrapped anew.
    private static byte[] UnwrapOld(RootKey old, ReadOnlySpan<byte> wrapped, ReadOnlySpan<byte> associatedData)
    {
        try
        {
            return old.Unwrap(wrapped, associatedData);
        }
        catch (ObjectDisposedException e)
        {
            throw new CryptographicException("The master key was changed meanwhile.", e);
        }
    }

    /// <summary>
    /// Changes the key while everything else goes on, or ends a change that was cut short. Whoever stops it, at whatever point, leaves a database that opens with
    /// what its source holds. One at a time.
    /// </summary>
    /// <param name="begin">Called inside the write that begins it, for the record.</param>
    /// <param name="end">Called inside the write that ends it.</param>
    /// <param name="cancellationToken">Heard between two batches; what is done stays done.</param>
    /// <exception cref="LockstepException">conflict when the key comes from where the server can't put one.</exception>
    public async Task<RekeyResult> RekeyAsync(Action<SqlSession> begin, Action<SqlSession, RekeyResult> end, CancellationToken cancellationToken)
    {
        var state = await _database.WriteAsync(MasterKeyState.Read, cancellationToken);
        if (state.Next is { } unfinished)
        {
            // Begun, and then it was not known whether it was.
            if (!IsChanging)
            {
                _keys = new Pair(await _source.FindAsync(unfinished, state, cancellationToken) ?? throw Unfinished("new", _source), _keys.Current);
                Sealed = state.SealedNext;
            }
        }
        else if (IsChanging || IsUnsettled)
        {
            // It ended in the database, of which it was not known whether it did, or without its key in its place.
            Settle();
            await _database.TruncateLogAsync(cancellationToken);
            return new RekeyResult();
        }
        else
        {
            _source.Settle(_keys.Current);
            var next = await _source.NextAsync(state, cancellationToken);
            Stepping?.Invoke("made");
            await _database.WriteAsync(s =>
            {
                MasterKeyState.Begin(s, next);
                begin(s);
                return true;
            }, cancellationToken);
            Stepping?.Invoke("begun");
            // What is wrapped in a write after this is wrapped by the new key; what was before is found by the batches, which are writes too.
            _keys = new Pair(next.Key, _keys.Current);
            Sealed = next.Sealed;
        }
        return await FinishAsync(end, cancellationToken);
    }

    /// <summary>Ends a change that began: wraps anew what the old key wraps, then forgets that key.</summary>
    public async Task<RekeyResult> FinishAsync(Action<SqlSession, RekeyResult> end, CancellationToken cancellationToken)
    {
        var keys = _keys;
        if (keys.Previous is not { } old) return new RekeyResult();
        var result = await new Rewrapping(_database, keys.Current, old, Stepping).RunAsync(cancellationToken);
        Stepping?.Invoke("wrapped");
        await _database.WriteAsync(s =>
        {
            MasterKeyState.End(s, keys.Current);
            end(s, result);
            return true;
        }, CancellationToken.None);
        Stepping?.Invoke("ended");
        Settle();
        Stepping?.Invoke("settled");
        // What the old key wrapped stands there until then.
        await _database.TruncateLogAsync(cancellationToken);
        return result;
    }

    // The database knows the present key alone.
    private void Settle()
    {
        var keys = _keys;
        IsUnsettled = true;
        _keys = keys with { Previous = null };
        keys.Previous?.Dispose();
        _source.Settle(keys.Current);
        IsUnsettled = false;
    }

    /// <summary>The key of that check value, from where the settings say it is or was, for data that is no database's yet: to unwrap and derive, never to be changed.</summary>
    /// <exception cref="LockstepException">conflict when it is in neither place.</exception>
    public static async Task<MasterKey> FindAsync(MasterKeyOptions options, string dataDirectory, MasterKeyState state, CancellationToken cancellationToken)
    {
        var (others, refusals) = (new List<string>(), new List<LockstepException>());
        foreach (var place in new[] { options, options.Previous })
        {
            if (place is null) continue;
            try
            {
                var source = SourceOf(place, dataDirectory, TimeProvider.System);
                if (await FindAsync(source, state, cancellationToken) is { } found) return found;
                others.Add(source.Name);
            }
            catch (LockstepException e)
            {
                // The other place may have it.
                refusals.Add(e);
            }
        }
        if (others.Count == 0) throw refusals[0];
        throw new LockstepException(ErrorCode.Conflict, $"the backup was made under another master key than that from {string.Join(" or ", others)}{string.Concat(refusals.Select(r => "; and " + r.Message))}. "
            + "Put the key that was in use when it was made there, or point masterKey (or masterKey.previous) at it");
    }

    private static async Task<MasterKey?> FindAsync(IMasterKeySource source, MasterKeyState state, CancellationToken cancellationToken)
    {
        RootKey? key = null;
        try
        {
            key = await source.FindAsync(state.Check!, state, cancellationToken);
        }
        finally
        {
            if (key is null) source.Dispose();
        }
        return key is null ? null : new MasterKey(null!, source, key, null) { Sealed = state.Sealed };
    }

    public void Dispose()
    {
        _keys.Current.Dispose();
        _keys.Previous?.Dispose();
        _source.Dispose();
    }

    private static IMasterKeySource SourceOf(MasterKeyOptions options, string dataDirectory, TimeProvider time) =>
        options.VaultTransit is { } vault ? new MasterKeyTransit(new VaultTransit(vault, time))
        : options.Env is { } variable ? new MasterKeyVariable(variable)
        : new MasterKeyFile(Path.GetFullPath(options.File ?? Path.Combine(dataDirectory, "master.key")));

    private static LockstepException Unfinished(string which, IMasterKeySource source) => new(ErrorCode.Conflict,
        $"a change of the master key is under way, and {source.Name} does not have the {which} key. Start once with masterKey as it was, so that the change ends; with a file, {(which == "new" ? "FILE.next" : "both FILE and FILE.next")} must be there");

    private sealed record Pair(RootKey Current, RootKey? Previous);
}
