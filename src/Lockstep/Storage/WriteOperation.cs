namespace Lockstep.Storage;

/// <summary>One caller's part of a group: runs on the writer's thread, answers when the group's outcome is known.</summary>
internal abstract class WriteOperation(CancellationToken cancellationToken)
{
    /// <summary>Why this operation's own statements were undone; null while it stands.</summary>
    public Exception? Failure { get; set; }

    public CancellationToken CancellationToken => cancellationToken;

    public abstract void Run(SqlSession session);

    /// <summary>Answers the caller: its result when it stands, else <see cref="Failure"/>.</summary>
    public abstract void Answer();
}

internal sealed class WriteOperation<T>(Func<SqlSession, T> write, CancellationToken cancellationToken) : WriteOperation(cancellationToken)
{
    private readonly TaskCompletionSource<T> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private T _result = default!;

    public Task<T> Task => _answer.Task;

    public override void Run(SqlSession session) => _result = write(session);

    public override void Answer()
    {
        if (Failure is null) _answer.TrySetResult(_result);
        else if (Failure is OperationCanceledException canceled && canceled.CancellationToken == CancellationToken) _answer.TrySetCanceled(CancellationToken);
        else _answer.TrySetException(Failure);
    }
}
