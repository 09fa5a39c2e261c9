namespace Lockstep.Client;

/// <summary>Keeps a cache file in step with what a server confirmed: written when the document or the token changed or the file is gone, and now and then so that its time stays young.</summary>
internal sealed class CacheKeeper
{
    private static readonly TimeSpan s_look = TimeSpan.FromMinutes(1);

    private readonly string _path;
    private readonly Subscription _subscription;
    private readonly TimeSpan _maxAge;
    private readonly TimeSpan _period;
    private readonly TimeProvider _time;
    private readonly Func<bool> _connected;
    private readonly Pump _writer;
    private readonly ITimer _timer;

    // Writing and deleting exclude each other: no write that was under way brings back what was deleted.
    private readonly Lock _gate = new();
    private (CacheContent Content, string? Token)? _wanted;
    private (string Epoch, string? ETag, string? Token, DateTimeOffset At)? _written;

    // The token that the file was last read or written with.
    private string? _opens;
    private volatile string? _problem;

    public CacheKeeper(string path, Subscription subscription, TimeSpan maxAge, TimeProvider time, Func<bool> connected)
    {
        (_path, _subscription, _maxAge, _time, _connected) = (Path.GetFullPath(path), subscription, maxAge, time, connected);
        _period = maxAge / 24 > s_look ? maxAge / 24 : s_look;
        _writer = new Pump(WriteAsync);
        _timer = time.CreateTimer(_ => _writer.Request(), null, s_look, s_look);
    }

    /// <summary>Why the file was not taken or can't be written; after a confirmation, as soon as writing was tried.</summary>
    public string? Problem => _problem;

    /// <summary>What the file holds; null, and a <see cref="Problem"/>, when it must not be used.</summary>
    public async Task<CacheContent?> LoadAsync(LockstepClient client, CancellationToken cancellationToken)
    {
        try
        {
            var token = await client.TokenAsync(cancellationToken);
            var content = CacheFile.Read(_path, token, _subscription, _maxAge, _time.GetUtcNow());
            lock (_gate) _opens = token;
            return content;
        }
        catch (LockstepException e)
        {
            _problem = e.Message;
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            _problem = $"it can't be read, or the token can't be had ({e.GetType().Name})";
        }
        return null;
    }

    /// <summary>A server confirmed this document.</summary>
    public void Keep(CacheContent content, string? token)
    {
        lock (_gate) _wanted = (content, token);
        _writer.Request();
    }

    /// <summary>Deletes the file if it is under the token that was refused, or under the one that this process read or wrote it with; it comes back when a server confirms a document again.</summary>
    public void Delete(string? refused)
    {
        lock (_gate)
        {
            (_wanted, _written) = (null, null);
            try
            {
                CacheFile.Delete(_path, _subscription, refused, _opens);
            }
            catch (LockstepException e)
            {
                _problem = e.Message;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                _problem = $"{_path} can't be deleted: {e.Message}";
            }
        }
    }

    public async Task StopAsync()
    {
        await _timer.DisposeAsync();
        await _writer.StopAsync();
    }

    private ValueTask WriteAsync()
    {
        lock (_gate)
        {
            var now = _time.GetUtcNow();
            if (_wanted is not var (content, token) || !IsDue(content, token, now)) return ValueTask.CompletedTask;
            try
            {
                CacheFile.Write(_path, token, _subscription, content, now);
                (_written, _opens) = ((content.Epoch, content.Snapshot.ETag, token, now), token);
                _problem = null;
            }
            catch (LockstepException e)
            {
                _problem = e.Message;
            }
            catch (Exception e)
            {
                // Whatever it is: it must be told, and not end the writing for good. What is not of the file system may quote the document.
                _problem = $"{_path} can't be written: {(e is IOException or UnauthorizedAccessException ? e.Message : e.GetType().Name)}";
            }
        }
        return ValueTask.CompletedTask;
    }

    private bool IsDue(CacheContent content, string? token, DateTimeOffset now) =>
        _written is not { } written || written.Epoch != content.Epoch || written.ETag != content.Snapshot.ETag || written.Token != token
        || (_connected() && (now - written.At >= _period || !File.Exists(_path)));
}
