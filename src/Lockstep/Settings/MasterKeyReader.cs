namespace Lockstep.Settings;

/// <summary>Reads <c>masterKey</c>.</summary>
internal static class MasterKeyReader
{
    private const int MaxName = 128;

    /// <summary>Null when nothing says where the key is.</summary>
    public static MasterKeyOptions? Read(SettingsReader root)
    {
        var section = root.Section("masterKey");
        var options = Source(section, root, "masterKey");
        var before = section.Section("previous");
        var previous = Source(before, section, "previous");
        before.Done();
        section.Done();
        if (previous is null) return options;
        if (options is null) section.Fail("previous", "says where the key was, and nothing says where it is now: set file, env or vaultTransit beside it");
        if (options == previous) section.Fail("previous", "is where the key is now; give the place it was in before, or leave it out");
        return options is null ? null : options with { Previous = previous };
    }

    private static MasterKeyOptions? Source(SettingsReader section, SettingsReader outer, string key)
    {
        var options = new MasterKeyOptions { File = section.Path("file"), Env = section.Text("env"), VaultTransit = Transit(section.Section("vaultTransit")) };
        var count = (options.File is null ? 0 : 1) + (options.Env is null ? 0 : 1) + (options.VaultTransit is null ? 0 : 1);
        if (count > 1) outer.Fail(key, options.VaultTransit is null ? "has both file and env; keep one" : "has several of file, env and vaultTransit; keep one");
        if (options.Env is { } name && (name.Length == 0 || name.Contains('='))) section.Fail("env", "must be the name of an environment variable");
        return count == 0 ? null : options;
    }

    private static VaultTransitOptions? Transit(SettingsReader section)
    {
        var (address, key, mount, space, caFile) = (section.Text("address"), section.Text("key"), section.Text("mount"), section.Text("namespace"), section.Path("caFile"));
        var auth = section.Section("auth");
        var tokenFile = auth.Path("tokenFile");
        var role = auth.Section("appRole");
        var (roleId, secretId, roleMount) = (role.Path("roleIdFile"), role.Path("secretIdFile"), role.Text("mount"));
        role.Done();
        auth.Done();
        section.Done();
        if (address is null && key is null && mount is null && space is null && caFile is null && tokenFile is null && roleId is null && secretId is null) return null;

        var url = Address(section, address);
        CheckPath(section, "key", key, needed: true);
        CheckPath(section, "mount", mount);
        CheckPath(section, "namespace", space);
        CheckPath(role, "mount", roleMount);
        var hasRole = roleId is not null || secretId is not null;
        if (hasRole && (roleId is null || secretId is null)) auth.Fail("appRole", "needs both roleIdFile and secretIdFile");
        if (hasRole == tokenFile is not null) section.Fail("auth", hasRole ? "has both tokenFile and appRole; keep one" : "must say how to log in: { tokenFile } or { appRole: { roleIdFile, secretIdFile } }");
        if (url is null || key is null) return null;
        return new VaultTransitOptions
        {
            Address = url,
            Key = key,
            Mount = mount ?? "transit",
            Namespace = space,
            CaFile = caFile,
            TokenFile = tokenFile,
            AppRole = roleId is not null && secretId is not null ? new VaultAppRole(roleId, secretId, roleMount ?? "approle") : null,
        };
    }

    private static Uri? Address(SettingsReader section, string? text)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https") || url is not { UserInfo: "", Query: "", Fragment: "" })
        {
            section.Fail("address", "must be the URL of a Vault, such as https://vault.example:8200, without user, password and query");
            return null;
        }
        if (url.Scheme == "https" || url.IsLoopback) return url;
        section.Fail("address", "is http, which would carry the master key in plain text beyond this machine; use https");
        return null;
    }

    // They become parts of a path.
    private static void CheckPath(SettingsReader section, string key, string? text, bool needed = false)
    {
        if (text is null && !needed) return;
        if (text is null or { Length: 0 or > MaxName } || !text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/') || text.Split('/').Any(p => p is "" or "." or ".."))
            section.Fail(key, $"must be a name of letters, digits, '-', '_', '.' and '/', at most {MaxName} characters");
    }
}
