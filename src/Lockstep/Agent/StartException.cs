namespace Lockstep.Agent;

/// <summary>A command that can't be executed, and the exit status that says so.</summary>
internal sealed class StartException(string message, int exitCode, Exception inner) : Exception(message, inner)
{
    public int ExitCode { get; } = exitCode;
}
