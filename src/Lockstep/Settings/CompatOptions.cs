namespace Lockstep.Settings;

/// <summary>Which other systems' interfaces are served (<c>compat:</c>).</summary>
internal sealed record CompatOptions
{
    /// <summary><c>/spring</c>.</summary>
    public bool Spring { get; init; } = true;

    /// <summary><c>/git</c>.</summary>
    public bool Git { get; init; } = true;
}
