namespace Lockstep.Secrets;

/// <summary>Which store an id belongs to: the mount with the longest matching prefix of whole segments, else the embedded store.</summary>
internal sealed class SecretMounts(ISecretStore embedded, IReadOnlyDictionary<string, ISecretStore> mounts)
{
    /// <summary>The name of the embedded store where mounts are named.</summary>
    public const string Embedded = "embedded";

    public ISecretStore StoreOf(SecretId id) => mounts.TryGetValue(MountOf(id), out var store) ? store : embedded;

    /// <summary>The mount's prefix, or <see cref="Embedded"/>.</summary>
    public string MountOf(SecretId id)
    {
        var path = id.Value;
        for (var end = path.LastIndexOf('/'); end > 0; end = path.LastIndexOf('/', end - 1))
            if (mounts.ContainsKey(path[..end])) return path[..end];
        return Embedded;
    }
}
