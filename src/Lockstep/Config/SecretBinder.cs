using System.Collections.Immutable;
using Lockstep.Client;
using Lockstep.Secrets;

namespace Lockstep.Config;

/// <summary>Finds the version that each reference of some values stands for, and its value.</summary>
internal sealed class SecretBinder(SecretReader secrets)
{
    /// <summary>The versions, and what is wrong with the references that lead to none.</summary>
    /// <param name="values">What refers to secrets.</param>
    /// <param name="active">The active version of a secret, null when it has none.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="LockstepException">unavailable when a store does not answer.</exception>
    public async Task<(ImmutableDictionary<SecretRef, BoundSecret> Bound, ImmutableArray<ConfigError> Errors)> BindAsync(
        IEnumerable<ResolvedEntry> values, Func<SecretId, int?> active, CancellationToken cancellationToken)
    {
        var bound = ImmutableDictionary.CreateBuilder<SecretRef, BoundSecret>();
        var errors = ImmutableArray.CreateBuilder<ConfigError>();
        foreach (var entry in values)
        {
            foreach (var reference in entry.Value.References)
            {
                if (bound.ContainsKey(reference)) continue;
                var (found, problem) = await FindAsync(reference, active(reference.Id), cancellationToken);
                if (found is not null) bound.Add(reference, found);
                else errors.Add(new ConfigError(entry.Location, entry.Key, problem!));
            }
        }
        return (bound.ToImmutable(), errors.ToImmutable());
    }

    private async Task<(BoundSecret? Found, string? Problem)> FindAsync(SecretRef reference, int? active, CancellationToken cancellationToken)
    {
        if (active is null)
            return (null, $"the secret '{reference.Id}' does not exist or has no active version; set it with: lockstep secret set {reference.Id}");
        var version = reference.Version ?? active.Value;
        SecretValue value;
        try
        {
            value = await secrets.ReadAsync(reference.Id, version, cancellationToken);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.NotFound || e.Code == ErrorCode.Internal)
        {
            // Gone or damaged: the documents that need it say so, and hold up no other.
            return (null, e.Message);
        }
        return value.KindOf(reference.Field) is null
            ? (null, $"version {version} of the secret '{reference.Id}' has no field '{reference.Field}'")
            : (new BoundSecret(version, value), null);
    }
}
