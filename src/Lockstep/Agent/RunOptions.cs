using System.Net;

namespace Lockstep.Agent;

/// <summary>How a command is run beside the document it is run with.</summary>
internal sealed record RunOptions
{
    /// <summary>What a changed document does to the process.</summary>
    public Reaction Watch { get; init; } = Reaction.None;

    /// <summary>What a token that is no longer valid does to the process.</summary>
    public Reaction OnKill { get; init; } = Reaction.Stop;

    /// <summary>How a process shows that it is ready; null: by being started.</summary>
    public ReadyCheck? Ready { get; init; }

    public TimeSpan ReadyTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The time between SIGTERM and SIGKILL.</summary>
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Sockets that outlive the process: bound here, handed to each process.</summary>
    public IReadOnlyList<IPEndPoint> Listen { get; init; } = [];

    public string? Fallback { get; init; }

    public TimeSpan FallbackMaxAge { get; init; } = TimeSpan.FromHours(24);

    /// <summary>Whether only keys that derive from a secret reach the process.</summary>
    public bool OnlySecrets { get; init; }

    /// <summary>Where the values are files, in place of the environment.</summary>
    public string? Mount { get; init; }

    public bool Mask { get; init; } = true;

    public bool KeepToken { get; init; }
}
