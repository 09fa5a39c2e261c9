using System.Globalization;
using System.Text;
using Lockstep.Client;

namespace Lockstep.Settings;

/// <summary>The settings in force as YAML, for logs and <c>doctor</c>; what may hold a password is cut down to where it points.</summary>
internal static class SettingsPrinter
{
    public static string Print(ServerOptions options)
    {
        var text = new StringBuilder();
        void Line(string key, string? value) => text.Append(CultureInfo.InvariantCulture, $"{key}: {value ?? "null"}").Append('\n');

        Line("listen", options.Listen.ToString());
        Line("management", options.Management.ToString());
        Line("tls", options.Operation.Tls is { } tls ? $"{{ certificate: {tls.Certificate}, key: {tls.Key} }}" : null);
        Line("limits", $"{{ requestsPerSecond: {options.Operation.RequestsPerSecond} }}");
        Line("drain", Durations.Format(options.Operation.Drain));
        Line("telemetry", $"{{ otlp: {options.Operation.Otlp?.ToString() ?? "null"} }}");
        text.Append("audit:\n");
        Line("  file", options.Audit.File);
        Line("  maxFileSize", AuditReader.Format(options.Audit.MaxFileSize));
        Line("  keepFiles", options.Audit.KeepFiles.ToString(CultureInfo.InvariantCulture));
        Line("  stdout", Flag(options.Audit.Stdout));
        Line("  checkpoints", options.Audit.Checkpoints);
        Line("  retention", Durations.Format(options.Audit.Retention));
        Line("trustedProxies", List(options.TrustedProxies.Select(p => p.ToString())));
        Line("data", options.Data);
        Line("database", Redact(options.Database));
        Line("masterKey", $"{{ {Source(options.MasterKey)}{(options.MasterKey.Previous is { } previous ? $", previous: {{ {Source(previous)} }}" : "")} }}");
        text.Append("config:\n");
        Line("  url", options.Config.Url is { } url && url.Contains("://", StringComparison.Ordinal) ? Redact(url) : options.Config.Url);
        Line("  branch", options.Config.Branch);
        Line("  refresh", Durations.Format(options.Config.Refresh));
        Line("  searchPaths", List(options.Config.SearchPaths));
        Line("  webhookSecretFile", options.Config.WebhookSecretFile);
        Line("  maxStale", Durations.Format(options.Config.MaxStale));
        Line("  credentials", options.Config.Credentials is null ? null : "***");
        text.Append("spring:\n");
        Line("  overrides", List(options.Spring.Overrides.Select(o => o.Key)));
        Line("  encryptKeyFile", options.Spring.EncryptKeyFile);
        Line("  acceptEmpty", Flag(options.Spring.AcceptEmpty));
        Line("  defaultLabel", options.Spring.DefaultLabel);
        Line("  tryMaster", Flag(options.Spring.TryMaster));
        Line("  continueOnMissingLabel", Flag(options.Spring.ContinueOnMissingLabel));
        Line("compat", $"{{ spring: {Flag(options.Compat.Spring)}, git: {Flag(options.Compat.Git)} }}");
        Line("known", List(options.Known.Select(k => $"{k.Service}/{k.Environment}")));
        Line("roles", List(options.Roles.Select(r => r.Name)));
        Line("issuers", List(options.Issuers.Select(Issuer)));
        return text.ToString();
    }

    private static string Issuer(IssuerOptions issuer) =>
        $"{{ issuer: {issuer.Issuer}, audience: {List(issuer.Audiences)}, algorithms: {List(issuer.Algorithms)}, maxAge: {Durations.Format(issuer.MaxAge)}, jwksUri: {issuer.JwksUri?.ToString() ?? "null"}, "
        + $"caFile: {issuer.CaFile ?? "null"}, tokenFile: {issuer.TokenFile ?? "null"}, login: {issuer.Login?.ClientId ?? "null"}, "
        + $"roles: {List(issuer.Roles.Select(r => $"{{ claim: {r.Claim}, value: {r.Value}, role: {r.Role} }}"))} }}";

    private static string Source(MasterKeyOptions key) =>
        key.VaultTransit is { } vault ? $"vaultTransit: {{ address: {vault.Address}, mount: {vault.Mount}, key: {vault.Key} }}"
        : key.Env is { } env ? $"env: {env}"
        : $"file: {key.File}";

    /// <summary>Each setting with a text that differs when it does. Not for people: what it holds may be secret.</summary>
    public static IEnumerable<KeyValuePair<string, string>> Entries(ServerOptions options)
    {
        var whole = Whole(options).ToDictionary(StringComparer.Ordinal);
        var section = "";
        foreach (var line in Print(options).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon < 0) continue;
            var (key, value) = (line[..colon], line[(colon + 1)..].Trim());
            if (key[0] != ' ') section = key;
            var name = key[0] == ' ' ? $"{section}.{key.Trim()}" : key;
            if (value.Length > 0 && !whole.ContainsKey(name)) yield return new(name, value);
        }
        foreach (var entry in whole) yield return entry;
    }

    // What is printed as names only, or cut down.
    private static IEnumerable<KeyValuePair<string, string>> Whole(ServerOptions options)
    {
        yield return new("database", options.Database ?? "");
        yield return new("masterKey", options.MasterKey.ToString());
        yield return new("config.url", options.Config.Url ?? "");
        yield return new("config.credentials", options.Config.Credentials?.ToString() ?? "");
        foreach (var (key, value) in options.Spring.Overrides) yield return new($"spring.overrides.{key}", value);
        foreach (var role in options.Roles)
            yield return new($"access.roles.{role.Name}", string.Join('\0', new[] { role.Permissions, role.Services, role.Environments, role.Secrets, role.Paths, role.Cidrs }.Select(l => l is null ? "*" : List(l))));
        foreach (var (index, issuer) in options.Issuers.Index())
            yield return new($"access.issuers[{index}].login", issuer.Login is { } login ? string.Join('\0', [login.ClientId, .. login.Scopes]) : "");
    }

    private static string Flag(bool flag) => flag ? "true" : "false";

    private static string List(IEnumerable<string> items) => $"[{string.Join(", ", items)}]";

    /// <summary>A URL without its user, password and query; all of it is hidden when it is no URL.</summary>
    private static string? Redact(string? url)
    {
        if (url is null) return null;
        if (!Uri.TryCreate(url, UriKind.Absolute, out var parsed)) return "***";
        var user = parsed.UserInfo.Length == 0 ? "" : "***@";
        var query = parsed.Query.Length == 0 ? "" : "?***";
        return $"{parsed.Scheme}://{user}{parsed.Authority}{parsed.AbsolutePath}{query}";
    }
}
