namespace Lockstep.Config;

/// <summary>A place in a file of the repository; lines count from 1.</summary>
internal readonly record struct SourceLocation(string File, int Line)
{
    public override string ToString() => $"{File}:{Line}";
}
