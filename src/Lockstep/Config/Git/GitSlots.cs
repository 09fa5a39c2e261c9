using Lockstep.Client;

namespace Lockstep.Config.Git;

/// <summary>The places for clients that are served at once, of which one token has a few only: who takes all of those waits for nobody but himself.</summary>
internal sealed class GitSlots(int atOnce, int perToken, TimeSpan patience) : IDisposable
{
    private readonly SemaphoreSlim _all = new(atOnce);
    private readonly Dictionary<string, (SemaphoreSlim Slots, int Users)> _tokens = new(StringComparer.Ordinal);

    /// <summary>Waits for a place; it is the caller's until the result is disposed of.</summary>
    /// <exception cref="LockstepException">unavailable when the places stay taken.</exception>
    public async Task<IDisposable> TakeAsync(string token, CancellationToken cancellationToken)
    {
        var own = Join(token);
        try
        {
            if (!await own.WaitAsync(patience, cancellationToken))
                throw new LockstepException(ErrorCode.Unavailable, $"{perToken} git commands of this token are under way already; try again when one has ended");
            try
            {
                if (!await _all.WaitAsync(patience, cancellationToken))
                    throw new LockstepException(ErrorCode.Unavailable, "too many clones and pushes are under way; try again in a moment");
                return new Slot(this, token, own);
            }
            catch
            {
                own.Release();
                throw;
            }
        }
        catch
        {
            Leave(token);
            throw;
        }
    }

    public void Dispose() => _all.Dispose();

    private SemaphoreSlim Join(string token)
    {
        lock (_tokens)
        {
            var (slots, users) = _tokens.TryGetValue(token, out var known) ? known : (new SemaphoreSlim(perToken), 0);
            _tokens[token] = (slots, users + 1);
            return slots;
        }
    }

    private void Leave(string token)
    {
        lock (_tokens)
        {
            var (slots, users) = _tokens[token];
            if (users == 1) _tokens.Remove(token);
            else _tokens[token] = (slots, users - 1);
        }
    }

    private sealed class Slot(GitSlots slots, string token, SemaphoreSlim own) : IDisposable
    {
        private int _released;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _released, 1) != 0) return;
            slots._all.Release();
            own.Release();
            slots.Leave(token);
        }
    }
}
