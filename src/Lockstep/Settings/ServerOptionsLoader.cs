using System.Collections.Immutable;
using System.Net;
using System.Text;
using Lockstep.Client;

namespace Lockstep.Settings;

/// <summary>The settings with what is odd about them but no error.</summary>
internal sealed record LoadedOptions(ServerOptions Options, IReadOnlyList<string> Warnings);

/// <summary>Settings from <c>server.yaml</c>, then <c>LOCKSTEP_…</c> variables, then flags; everything is checked and every mistake reported at once.</summary>
internal static class ServerOptionsLoader
{
    private const int MaxListItems = 1000;
    private const int MaxSearchPaths = 64;

    /// <summary>Flags are by setting: <c>listen</c>, <c>config.url</c>. Without a <paramref name="file"/> paths are relative to the working directory.</summary>
    /// <exception cref="LockstepException">invalid-config with every mistake.</exception>
    public static LoadedOptions Load(string? file, IReadOnlyDictionary<string, string> environment, IReadOnlyDictionary<string, string> flags)
    {
        var errors = new SettingsErrors();
        var overrides = new SettingsOverrides(environment, flags);
        var root = SettingsReader.Root(file, file is null ? null : SettingsYaml.Read(file, ReadFile(file), errors), overrides, errors);
        var options = Read(root);
        errors.ThrowIfAny();
        return new LoadedOptions(options, overrides.Unknown());
    }

    private static string ReadFile(string file)
    {
        try
        {
            if (new FileInfo(file).Length > 4L * SettingsYaml.MaxLength)
                throw new LockstepException(ErrorCode.InvalidConfig, $"the settings file '{file}' is too large; at most {SettingsYaml.MaxLength} characters are read");
            return File.ReadAllText(file, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new LockstepException(ErrorCode.InvalidConfig, $"the settings file '{file}' can't be read: {e.Message}", e);
        }
        catch (DecoderFallbackException e)
        {
            throw new LockstepException(ErrorCode.InvalidConfig, $"the settings file '{file}' is not UTF-8 text", e);
        }
    }

    private static ServerOptions Read(SettingsReader root)
    {
        var data = root.Path("data") ?? root.Absolute("data", "data");
        var access = root.Section("access");
        var defaults = new ServerOptions { Data = data, MasterKey = new() { File = Path.Join(data, "master.key") } };
        var options = defaults with
        {
            TrustedProxies = TrustedProxies(root),
            Listen = Listener(root, "listen") ?? defaults.Listen,
            Management = Listener(root, "management") ?? defaults.Management,
            Database = DatabaseUrl(root),
            MasterKey = MasterKeyReader.Read(root) ?? defaults.MasterKey,
            Config = Config(root),
            Spring = Spring(root),
            Compat = Compat(root),
            Known = Known(root),
            Roles = Roles(access),
            Issuers = IssuerReader.Read(access),
            Operation = OperationReader.Read(root),
            Audit = AuditReader.Read(root),
        };
        access.Done();
        OperationReader.CheckListeners(root, options);
        if (options.Listen.Port != 0 && options.Listen.Port == options.Management.Port)
            root.Fail("management", $"has the port of listen, {options.Listen.Port}; choose another");
        if (options.Database is not null && options.Config.Url is null)
            root.Fail("database", "with a PostgreSQL database config.url is required: an embedded repository belongs to one machine");
        root.Done();
        return options;
    }

    private static ListenAddress? Listener(SettingsReader root, string key)
    {
        if (root.Text(key) is not { } text) return null;
        if (!ListenAddress.TryParse(text, out var listen))
            root.Fail(key, "must be a URL of an IP address, localhost or * with a port, such as http://127.0.0.1:7400");
        return listen;
    }

    private static ImmutableArray<IPNetwork> TrustedProxies(SettingsReader root)
    {
        var (networks, error) = Networks.Parse(root.Texts("trustedProxies") ?? []);
        if (error is not null) root.Fail("trustedProxies", error);
        return networks;
    }

    private static string? DatabaseUrl(SettingsReader root)
    {
        if (root.Text("database") is not { } text) return null;
        if (text.StartsWith("postgres://", StringComparison.Ordinal) || text.StartsWith("postgresql://", StringComparison.Ordinal)) return text;
        root.Fail("database", "must be a URL such as postgres://user:password@host/database; leave it out for SQLite in the data directory");
        return null;
    }

    private static ConfigOptions Config(SettingsReader root)
    {
        var section = root.Section("config");
        var defaults = new ConfigOptions();
        var options = defaults with
        {
            Url = Url(section),
            Branch = section.Text("branch") ?? defaults.Branch,
            Refresh = section.Duration("refresh", defaults.Refresh, TimeSpan.FromSeconds(1), TimeSpan.FromDays(7)),
            MaxStale = section.Duration("maxStale", defaults.MaxStale, TimeSpan.FromSeconds(1), TimeSpan.FromDays(3650)),
            SearchPaths = SearchPaths(section),
            WebhookSecretFile = section.Path("webhookSecretFile"),
            Credentials = Credentials(section) is var login && (section.Has("credentials") || login != new GitCredentials()) ? login : null,
        };
        if (!NameRules.IsBranch(options.Branch)) section.Fail("branch", "is not a name that Git accepts for a branch");
        section.Done();
        return options;
    }

    private static string? Url(SettingsReader section)
    {
        if (section.Text("url") is not { } text) return null;
        if (text.Length == 0 || text[0] == '-' || text.Any(char.IsControl))
        {
            section.Fail("url", "must be a path or a file:, http(s): or ssh: URL");
            return null;
        }
        var scheme = text.IndexOf("://", StringComparison.Ordinal);
        // host:path, as ssh writes it, is kept; "helper::address" would make git run a program, and "file:path" is neither.
        var colon = text.AsSpan().IndexOfAny(':', '/');
        if (scheme < 0 && (colon <= 0 || text[colon] == '/')) return section.Absolute("url", text);
        if (scheme < 0 && !text.AsSpan(colon).StartsWith("::", StringComparison.Ordinal) && text[..colon] is not ("file" or "http" or "https" or "ssh")) return text;
        if (scheme < 0) scheme = 0;
        if (text[..scheme] is not ("file" or "http" or "https" or "ssh"))
            section.Fail("url", "must be a path or a file:, http(s): or ssh: URL");
        else if (Uri.TryCreate(text, UriKind.Absolute, out var url) && url.UserInfo.Contains(':'))
            section.Fail("url", "holds a password; name it with config.credentials.passwordFile or passwordEnv instead");
        return text;
    }

    private static IReadOnlyList<string> SearchPaths(SettingsReader section)
    {
        var paths = section.Texts("searchPaths") ?? [];
        if (paths.Count > MaxSearchPaths) section.Fail("searchPaths", $"holds more than {MaxSearchPaths} paths");
        if (paths.Any(p => p.Length is 0 or > 255 || p.Any(char.IsControl) || p.Split('/').Contains("..")))
            section.Fail("searchPaths", "must be paths inside the repository, without '..'");
        return paths;
    }

    private static GitCredentials Credentials(SettingsReader config)
    {
        var section = config.Section("credentials");
        var options = new GitCredentials
        {
            PasswordFile = section.Path("passwordFile"),
            PasswordEnv = section.Text("passwordEnv"),
            SshKeyFile = section.Path("sshKeyFile"),
            KnownHostsFile = section.Path("knownHostsFile"),
        };
        if (section.Text("username") is { } username) options = options with { Username = username };
        if (options.PasswordFile is not null && options.PasswordEnv is not null) config.Fail("credentials", "has both passwordFile and passwordEnv; keep one");
        section.Done();
        return options;
    }

    private static SpringOptions Spring(SettingsReader root)
    {
        var section = root.Section("spring");
        var defaults = new SpringOptions();
        var options = defaults with
        {
            // Spring's own settings write $\{ where the value shall hold ${.
            Overrides = [.. section.Flat("overrides").Select(o => KeyValuePair.Create(o.Key, o.Value.Replace("$\\{", "${", StringComparison.Ordinal)))],
            EncryptKeyFile = section.Path("encryptKeyFile"),
            AcceptEmpty = section.Flag("acceptEmpty", defaults.AcceptEmpty),
            DefaultLabel = section.Text("defaultLabel"),
            TryMaster = section.Flag("tryMaster", defaults.TryMaster),
            ContinueOnMissingLabel = section.Flag("continueOnMissingLabel", defaults.ContinueOnMissingLabel),
        };
        if (options.Overrides.Length > MaxListItems) section.Fail("overrides", $"holds more than {MaxListItems} keys");
        if (options.Overrides.DistinctBy(o => o.Key, StringComparer.Ordinal).Count() != options.Overrides.Length) section.Fail("overrides", "gives a key by two spellings");
        if (options.DefaultLabel is { Length: 0 or > 255 }) section.Fail("defaultLabel", "must be a branch, a tag or a commit");
        section.Done();
        return options;
    }

    private static CompatOptions Compat(SettingsReader root)
    {
        var section = root.Section("compat");
        var defaults = new CompatOptions();
        var options = new CompatOptions { Spring = section.Flag("spring", defaults.Spring), Git = section.Flag("git", defaults.Git) };
        section.Done();
        return options;
    }

    private static List<KnownDocument> Known(SettingsReader root)
    {
        var known = new List<KnownDocument>();
        foreach (var item in root.Items("known"))
        {
            var (service, environment) = (item.Text("service"), item.Text("environment"));
            item.Done();
            if (!NameRules.IsName(service)) item.Fail("service", $"must be a service: {NameRules.Words}");
            else if (!NameRules.IsEnvironmentList(environment)) item.Fail("environment", $"must be one environment or several, a,b: {NameRules.Words}");
            else if (known.Count == MaxListItems) root.Fail("known", $"holds more than {MaxListItems} documents");
            if (service is not null && environment is not null && known.Count <= MaxListItems) known.Add(new KnownDocument(service, environment));
        }
        return known;
    }

    private static List<RoleOptions> Roles(SettingsReader access)
    {
        var roles = new List<RoleOptions>();
        foreach (var (name, role) in access.Named("roles"))
        {
            roles.Add(new RoleOptions
            {
                Name = name,
                Permissions = role.Texts("permissions") ?? [],
                Services = role.Texts("services"),
                Environments = role.Texts("environments"),
                Secrets = role.Texts("secrets"),
                Paths = role.Texts("paths"),
                Cidrs = role.Texts("cidrs"),
                File = role.File,
                Line = role.Line,
            });
            role.Done();
        }
        return roles;
    }
}
