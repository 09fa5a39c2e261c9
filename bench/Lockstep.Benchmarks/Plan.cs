namespace Lockstep.Benchmarks;

/// <summary>How much of everything: a quick run shows that the benchmarks work, its figures are worth little.</summary>
internal sealed record Plan(bool Quick)
{
    /// <summary>Rounds in which every contestant has its turn, so that a disturbance meets all of them.</summary>
    public int Rounds => Quick ? 1 : 3;

    public int WarmUpSeconds => Quick ? 2 : 8;

    public int LoadSeconds => Quick ? 2 : 6;

    /// <summary>How many watch at once.</summary>
    public int Watchers => Quick ? 1_000 : 10_000;

    /// <summary>Turns of what is over in milliseconds; the median of them all counts.</summary>
    public int Repeats => Quick ? 5 : 21;
}
