using System.Collections.Immutable;

namespace Lockstep.Config;

/// <summary>What a document is asked for by. <see cref="Environment"/> may name several, <c>a,b</c>: the last wins.
/// <see cref="Label"/> is null for the tracked branch.</summary>
internal sealed record DocumentKey(string Service, string Environment, string? Label = null)
{
    /// <summary>The service; of a Spring client, which may ask for several as one, all of them: the last wins.</summary>
    public ImmutableArray<string> Services => Service.Contains(',') ? [.. Service.Split(',')] : [Service];

    public ImmutableArray<string> Environments => Environment.Contains(',') ? [.. Environment.Split(',')] : [Environment];

    public override string ToString() => Label is null ? $"{Service}/{Environment}" : $"{Service}/{Environment}@{Label}";
}
