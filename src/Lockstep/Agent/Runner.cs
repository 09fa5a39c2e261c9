using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>Runs a command with a document as its environment.</summary>
internal static class Runner
{
    public const int NotExecutable = 126;
    public const int NotFound = 127;

    /// <summary>
    /// Runs the command to its end; the result is its exit status, 128+n when signal n ended it, 126 or 127 when it can't be started.
    /// Nothing is read from the server for a command that does not exist. <paramref name="remark"/> gets what people should know.
    /// </summary>
    /// <exception cref="LockstepException">The document can't be had, or does not fit an environment: the command was not started.</exception>
    public static async Task<int> RunAsync(LockstepClient client, RunRequest request, Action<string> remark, CancellationToken cancellationToken)
    {
        var command = CommandPath.Find(request.Command[0]);
        if (command.Path is null)
        {
            remark(command.Problem!);
            return command.ExitCode;
        }
        var answer = await client.GetConfigAsync(request.Service, request.Environment, request.Query, cancellationToken);
        var snapshot = answer.Snapshot ?? throw new LockstepException(ErrorCode.Unavailable, $"{client.Address} answered without a document");
        if (snapshot.Stale is { } stale)
            remark($"the config of {request.Service}/{request.Environment} is not up to date since {stale.Since:yyyy-MM-dd HH:mm:ss'Z'}: {stale.Reason}");
        if (snapshot.Withheld.Count > 0)
            remark($"withheld, as the token may not see the secrets in them (secret:reveal): {string.Join(", ", snapshot.Withheld)}");
        return await ChildProcess.RunAsync(command.Path, request.Command, ChildEnvironment.From(snapshot), remark, cancellationToken);
    }
}
