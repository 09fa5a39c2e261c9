namespace Lockstep.Config.Git;

internal readonly record struct GitObjectAnswer(GitBlobStatus Status, string Id, long Size, ReadOnlyMemory<byte> Content);

/// <summary>One question to <c>git cat-file</c>: an object name of our own making, the type expected, and how much content to keep.</summary>
internal sealed class GitObjectRequest(string expression, string type, int limit, Action answered)
{
    private readonly TaskCompletionSource<GitObjectAnswer> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string Expression => expression;

    public string Type => type;

    public int Limit => limit;

    /// <summary>How often the process died while this was the next to be answered.</summary>
    public int Deaths { get; set; }

    public Task<GitObjectAnswer> Task => _answer.Task;

    public void Complete(GitObjectAnswer answer)
    {
        if (_answer.TrySetResult(answer))
            answered();
    }

    public void Fail(Exception reason)
    {
        if (_answer.TrySetException(reason))
            answered();
    }
}
