using System.Collections.Immutable;
using Lockstep.Client;
using Lockstep.Secrets;
using Lockstep.Settings;

namespace Lockstep.Config;

/// <summary>
/// Resolves one document: files → sources → merged values → references bound to secret versions. A pure function of the commit and the
/// active versions (and of stores that keep what they hold), so it may run anywhere, any number of times.
/// </summary>
internal sealed class DocumentResolver(SourceLoader sources, SecretReader secrets, bool isCandidate = false)
{
    /// <summary>
    /// The same over the files of a candidate. Secrets count nothing there towards the length of a document: whoever writes the files could have the limit tell how
    /// long a secret is.
    /// </summary>
    public DocumentResolver Over(SourceLoader others) => new(others, secrets, isCandidate: true);

    /// <param name="active">The active version of a secret, null when it has none.</param>
    /// <exception cref="LockstepException">unavailable when a store does not answer; what is wrong in the files is in <see cref="Resolution.Errors"/>.</exception>
    public async Task<Resolution> ResolveAsync(
        DocumentKey key, (string Name, string Commit) label, DocumentShape shape, Func<SecretId, int?> active,
        CancellationToken cancellationToken)
    {
        var set = await sources.LoadAsync(key, label, shape, cancellationToken);
        var resolution = new Resolution(key, label.Name, label.Commit) { Files = set.Dependencies, HasOwnFile = set.HasOwnFile };
        if (!set.Errors.IsEmpty || !set.CipherErrors.IsEmpty) return resolution with { Errors = [.. set.Errors, .. set.CipherErrors] };

        var config = ConfigResolver.Resolve(set);
        ImmutableArray<SecretRef> references = [.. config.Values.SelectMany(v => v.Value.References).Distinct()];
        resolution = resolution with { References = references, SecretIds = [.. references.Select(r => r.Id).Distinct().Order()], Warnings = config.Warnings };
        return config.Errors.IsEmpty
            ? await RebindAsync(resolution with { Values = config.Values }, active, cancellationToken)
            : resolution with { Errors = config.Errors, Warnings = [] };
    }

    /// <summary>The same files with other secret versions: the values of a valid resolution are bound anew.</summary>
    /// <exception cref="LockstepException">unavailable when a store does not answer.</exception>
    public async Task<Resolution> RebindAsync(Resolution resolution, Func<SecretId, int?> active, CancellationToken cancellationToken)
    {
        var values = resolution.Values;
        var (bound, errors) = await new SecretBinder(secrets).BindAsync(values, active, cancellationToken);
        if (errors.IsEmpty && TotalLength(values, bound) > ConfigLimits.CharactersPerDocument)
            errors = [new ConfigError(null, null, $"the document is longer than {ConfigLimits.CharactersPerDocument:N0} characters")];
        return errors.IsEmpty
            ? resolution with { Secrets = bound }
            : resolution with { Values = [], Secrets = ImmutableDictionary<SecretRef, BoundSecret>.Empty, Errors = errors };
    }

    private long TotalLength(ImmutableArray<ResolvedEntry> values, ImmutableDictionary<SecretRef, BoundSecret> bound) =>
        values.Sum(entry => entry.Value switch
        {
            ConfigValue.Scalar scalar => scalar.Value.Text.Length,
            ConfigValue.Secret secret => LengthOf(secret.Ref, bound),
            ConfigValue.Text text => text.Parts.Sum(p => p.Literal?.Length ?? LengthOf(p.Ref!, bound)),
            _ => 0L,
        });

    private long LengthOf(SecretRef reference, ImmutableDictionary<SecretRef, BoundSecret> bound) =>
        isCandidate ? 0 : bound[reference].Value.LengthOf(reference.Field);
}
