using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>
/// Runs a command from its first document to its end. One loop over what happens: another document, the end of the process, the end of the token.
/// While it is busy with one document newer ones fold into the newest.
/// </summary>
internal sealed class Supervisor(RunOptions options, Launcher launcher, SignalForwarder signals, Action<string> remark, TimeProvider time)
{
    private const int SharedAnswers = 20;

    /// <summary>A process that was handed the sockets and has not ended by then is taken for one that serves.</summary>
    private static readonly TimeSpan s_settled = TimeSpan.FromSeconds(1);

    private Child _current = null!;
    private ChildInput _input = null!;
    private bool _filesTaken;
    private Child? _retired;
    private Task _retiring = Task.CompletedTask;

    // Set by others, taken by the loop.
    private volatile Snapshot? _newest;
    private volatile string? _rejection;
    private volatile TaskCompletionSource _wake = NewSource();
    private TaskCompletionSource _rejected = NewSource();

    public required RunReports Reports { get; init; }

    /// <summary>The newest document, however often and from whichever thread.</summary>
    public void Offer(Snapshot newest)
    {
        _newest = newest;
        _wake.TrySetResult();
    }

    /// <summary>The token is no longer valid.</summary>
    public void Reject(string reason)
    {
        // What came before was of the token that has ended.
        _newest = null;
        _rejection = reason;
        _rejected.TrySetResult();
        _wake.TrySetResult();
    }

    /// <summary>Starts the command and stays with it; the result is the exit status.</summary>
    /// <exception cref="LockstepException">The document can't be given to a process; or the token was rejected, and the process is stopped.</exception>
    public async Task<int> RunAsync(Snapshot first)
    {
        _input = ChildInput.From(first, options);
        launcher.Masked.Add(first);
        try
        {
            _current = Start(_input);
            if (await NotReadyAsync(_current, shared: false) is { } problem && !_current.Exited.IsCompleted && _rejection is null && !signals.StopAsked)
            {
                Reports.Failed(first, problem);
                remark($"{problem}; it was stopped");
                await _current.StopAsync(options.StopTimeout, time);
                return Runner.TimedOut;
            }
            if (!_current.Exited.IsCompleted) Reports.Applied(first);
            return await StayAsync();
        }
        catch (StartException e)
        {
            remark(e.Message);
            return e.ExitCode;
        }
    }

    private async Task<int> StayAsync()
    {
        while (true)
        {
            await Task.WhenAny(_current.Exited, _wake.Task);
            // Before it is looked what there is: who comes after that wakes the next turn.
            if (_wake.Task.IsCompleted) _wake = NewSource();
            if (_rejection is { } reason)
            {
                _rejected = NewSource();
                _rejection = null;
                await EndOfTokenAsync(reason);
            }
            if (_current.Exited.IsCompleted)
            {
                await _retiring;
                return await _current.Exited;
            }
            if (Interlocked.Exchange(ref _newest, null) is { } newest) await TakeAsync(newest);
        }
    }

    private async Task TakeAsync(Snapshot snapshot)
    {
        ChildInput input;
        try
        {
            input = ChildInput.From(snapshot, options);
        }
        catch (LockstepException e)
        {
            Refuse(snapshot, string.Join("; ", e.Errors.Select(p => p.ToString()).Prepend(e.Message)));
            return;
        }
        if (_filesTaken && (options.Watch.Kind == ReactionKind.None || input.IsSame(_input)))
        {
            // A token is accepted again: the files of its document come back.
            if (Put(snapshot, input)) Reports.Applied(snapshot);
            return;
        }
        if (input.IsSame(_input))
        {
            Reports.Applied(snapshot);
            return;
        }
        switch (options.Watch.Kind)
        {
            case ReactionKind.Signal:
                Tell(snapshot, input);
                break;
            case ReactionKind.Restart:
                launcher.Masked.Add(snapshot);
                signals.Replacing = true;
                await ReplaceAsync(snapshot, input);
                signals.Replacing = false;
                break;
        }
    }

    private void Tell(Snapshot snapshot, ChildInput input)
    {
        if (!Put(snapshot, input)) return;
        _current.Signal(options.Watch.Signal);
        Reports.Applied(snapshot);
    }

    /// <summary>Gives the document's files to the process that runs; false when it was refused.</summary>
    private bool Put(Snapshot snapshot, ChildInput input)
    {
        launcher.Masked.Add(snapshot);
        try
        {
            if (options.Mount is { } directory && !OperatingSystem.IsWindows()) SecretMount.Write(SecretMount.Of(_current.Id, directory), input.Files);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Refuse(snapshot, $"the files in {options.Mount} can't be replaced: {e.Message}");
            return false;
        }
        (_input, _filesTaken) = (input, false);
        return true;
    }

    /// <summary>A new process for the document. Where two can run side by side the old one goes when the new one is ready, else before it starts.</summary>
    private async Task ReplaceAsync(Snapshot snapshot, ChildInput input)
    {
        // One that still drains its connections is not joined by a third.
        await Task.WhenAny(_retiring, _current.Exited, _rejected.Task);
        if (_current.Exited.IsCompleted || _rejection is not null || signals.StopAsked) return;
        var sideBySide = options.Ready is not null || options.Listen.Count > 0;
        var shared = options.Ready is { } check && await check.IsTakenAsync(time);
        try
        {
            launcher.Check(input);
        }
        catch (LockstepException e)
        {
            Refuse(snapshot, e.Message);
            return;
        }
        if (!sideBySide) await _current.StopAsync(options.StopTimeout, time);
        // A process that ended by itself, or that was stopped for good, is followed by none.
        if (signals.StopAsked || (sideBySide && _current.Exited.IsCompleted) || KillAsked) return;

        var old = _current;
        Child candidate;
        try
        {
            candidate = Start(input);
        }
        catch (Exception e) when (e is StartException or LockstepException)
        {
            Refuse(snapshot, e.Message);
            // Nothing runs any more: what ran before runs again.
            if (!sideBySide) _current = Start(_input);
            return;
        }
        if (await NotReadyAsync(candidate, shared) is { } problem && (sideBySide || !candidate.Exited.IsCompleted))
        {
            await (KillAsked ? candidate.StopAllAsync(options.StopTimeout, time) : candidate.StopAsync(options.StopTimeout, time));
            if (!signals.StopAsked && _rejection is null) Refuse(snapshot, problem);
            return;
        }
        (_current, _input, _filesTaken) = (candidate, input, false);
        // It may have ended with the wait for it.
        if (candidate.Exited.IsCompleted) Reports.Failed(snapshot, await EndedAsync(candidate));
        else Reports.Applied(snapshot);
        if (sideBySide) (_retired, _retiring) = (old, old.StopAsync(options.StopTimeout, time));
    }

    /// <summary>
    /// Why the process is not ready; null: it is. On an address that is <paramref name="shared"/> it may be the old process that answers: the new one has
    /// to live as long as many answers take.
    /// </summary>
    private async Task<string?> NotReadyAsync(Child child, bool shared)
    {
        var beside = !ReferenceEquals(child, _current) && !_current.Exited.IsCompleted;
        if (options.Ready is null && (!beside || options.Listen.Count == 0)) return null;
        using var over = new CancellationTokenSource(options.ReadyTimeout, time);
        var ready = (options.Ready, shared && beside) switch
        {
            (null, _) => Task.Delay(s_settled, time, over.Token),
            ({ } check, false) => check.WaitAsync(1, time, over.Token),
            ({ } check, true) => Task.WhenAll(Task.Delay(s_settled, time, over.Token), check.WaitAsync(SharedAnswers, time, over.Token)),
        };
        await Task.WhenAny(ready, child.Exited, _rejected.Task);
        if (ready.IsCompletedSuccessfully && !child.Exited.IsCompleted) return null;
        await over.CancelAsync();
        await ready.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return child.Exited.IsCompleted ? await EndedAsync(child) : $"the new process was not ready within {Durations.Format(options.ReadyTimeout)} ({options.Ready?.Target})";
    }

    private static async Task<string> EndedAsync(Child child) => $"the new process ended with status {await child.Exited} before it was ready";

    /// <summary>Whether the token has ended and the command is to end with it.</summary>
    private bool KillAsked => _rejection is not null && options.OnKill.Kind == ReactionKind.Stop;

    private async Task EndOfTokenAsync(string reason)
    {
        switch (options.OnKill.Kind)
        {
            case ReactionKind.Stop:
                remark($"{reason}: stopping the command");
                await Task.WhenAll(_current.StopAllAsync(options.StopTimeout, time), _retired?.StopAllAsync(options.StopTimeout, time) ?? Task.CompletedTask, _retiring);
                throw new LockstepException(ErrorCode.Unauthenticated, "the command was stopped, as the token it was run with is no longer valid");
            case ReactionKind.Signal:
                TakeFilesAway();
                remark($"{reason}: the command was sent the signal of --on-kill");
                _current.Signal(options.OnKill.Signal);
                break;
            default:
                TakeFilesAway();
                remark($"{reason}: the command runs on, as --on-kill says");
                break;
        }
    }

    private void TakeFilesAway()
    {
        if (options.Mount is not { } directory || OperatingSystem.IsWindows()) return;
        _filesTaken = true;
        try
        {
            SecretMount.Clear(SecretMount.Of(_current.Id, directory));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            remark($"the files in {directory} can't be removed: {e.Message}");
        }
    }

    private void Refuse(Snapshot snapshot, string reason)
    {
        Reports.Failed(snapshot, reason);
        remark($"release {snapshot.Release} of {snapshot.Service}/{snapshot.Environment} is not taken, the command goes on as it is: {reason}");
    }

    private Child Start(ChildInput input)
    {
        var child = launcher.Start(input);
        signals.Add(child);
        return child;
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
