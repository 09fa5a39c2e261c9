using System.Collections.Immutable;

namespace Lockstep.Settings;

/// <summary>What a Spring Cloud Config Server is told, as far as it concerns documents and <c>/spring</c> (<c>spring:</c>).</summary>
internal sealed record SpringOptions
{
    /// <summary>Values that win over everything in the repository, by flat key, in the order of the file.</summary>
    public ImmutableArray<KeyValuePair<string, string>> Overrides { get; init; } = [];

    /// <summary>File with the password that <c>{cipher}</c> values are encrypted with.</summary>
    public string? EncryptKeyFile { get; init; }

    /// <summary>Whether a service without any file is answered with an empty environment instead of 404.</summary>
    public bool AcceptEmpty { get; init; } = true;

    /// <summary>The label of requests without one; null: the tracked branch.</summary>
    public string? DefaultLabel { get; init; }

    /// <summary>Whether <c>master</c> stands in for a default label <c>main</c> that does not exist.</summary>
    public bool TryMaster { get; init; } = true;

    /// <summary>Whether, of several labels, those that do not exist are left out instead of 404.</summary>
    public bool ContinueOnMissingLabel { get; init; }
}
