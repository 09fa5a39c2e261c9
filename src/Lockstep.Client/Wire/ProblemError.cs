namespace Lockstep.Client;

/// <summary>One place where configuration is wrong.</summary>
public sealed record ProblemError
{
    /// <summary>The file in the repository.</summary>
    public string? File { get; init; }

    /// <summary>The line in the file, from 1.</summary>
    public int? Line { get; init; }

    /// <summary>The configuration key.</summary>
    public string? Key { get; init; }

    /// <summary>What is wrong there.</summary>
    public string Message { get; init => field = value ?? ""; } = "";

    /// <inheritdoc/>
    public override string ToString()
    {
        var place = File is null ? null : Line is null ? File : $"{File}:{Line}";
        return string.Join(": ", new[] { place, Key, Message }.Where(s => !string.IsNullOrEmpty(s)));
    }
}
