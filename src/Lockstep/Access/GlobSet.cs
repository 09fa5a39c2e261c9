using System.Collections.Immutable;

namespace Lockstep.Access;

/// <summary>Several globs of which one has to match; an empty set matches nothing.</summary>
internal sealed class GlobSet
{
    /// <summary>How many globs one list may hold.</summary>
    public const int MaxCount = 64;

    public static readonly GlobSet All = Of("**");
    public static readonly GlobSet AllNames = Of("*");
    public static readonly GlobSet None = Of();

    private readonly ImmutableArray<Glob> _globs;

    private GlobSet(ImmutableArray<Glob> globs)
    {
        _globs = globs;
        MatchesEveryName = globs.Any(g => g.MatchesEveryName);
        MatchesEverything = globs.Any(g => g.MatchesEverything);
    }

    public bool MatchesEveryName { get; }

    public bool MatchesEverything { get; }

    public IEnumerable<string> Patterns => _globs.Select(g => g.ToString());

    /// <summary>The set of those patterns, or what is wrong with them.</summary>
    public static (GlobSet? Set, string? Error) From(IReadOnlyCollection<string> patterns)
    {
        if (patterns.Count > MaxCount) return (null, $"holds {patterns.Count} globs; at most {MaxCount} are allowed");
        var globs = ImmutableArray.CreateBuilder<Glob>(patterns.Count);
        foreach (var pattern in patterns)
        {
            if (!Glob.TryParse(pattern, out var glob)) return (null, $"holds a glob that is empty, longer than {Glob.MaxLength} or has control characters");
            globs.Add(glob);
        }
        return (new GlobSet(globs.ToImmutable()), null);
    }

    public bool Matches(ReadOnlySpan<char> text)
    {
        foreach (var glob in _globs)
            if (glob.Matches(text)) return true;
        return false;
    }

    /// <summary>Whether everything that <paramref name="inner"/> matches is matched here; errs to false.</summary>
    public bool Covers(GlobSet inner) => inner._globs.All(i => _globs.Any(o => Glob.Covers(o, i)));

    /// <summary>Whether it has the same patterns in the same order.</summary>
    public bool IsSameAs(GlobSet other) => Patterns.SequenceEqual(other.Patterns, StringComparer.Ordinal);

    public override string ToString() => string.Join(", ", Patterns);

    /// <summary>The set of patterns that are known to be well formed.</summary>
    public static GlobSet Of(params IReadOnlyCollection<string> patterns) =>
        From(patterns) is { Set: { } set } ? set : throw new ArgumentException("Not globs.", nameof(patterns));
}
