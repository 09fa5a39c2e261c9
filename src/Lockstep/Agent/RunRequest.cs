using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>Which document a command is to run with, and the command with its arguments.</summary>
internal sealed record RunRequest(string Service, string Environment, IReadOnlyList<string> Command)
{
    public ConfigQuery Query { get; init; } = new();

    public RunOptions Options { get; init; } = new();
}
