using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Settings;

public sealed class ServerOptionsTests : IDisposable
{
    private static readonly Dictionary<string, string> s_nothing = new(StringComparer.Ordinal);
    private readonly TempDirectory _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Without_anything_the_defaults_hold()
    {
        var options = ServerOptionsLoader.Load(null, s_nothing, s_nothing).Options;
        options.Listen.ToString().ShouldBe("http://127.0.0.1:7400");
        options.Management.ToString().ShouldBe("http://127.0.0.1:7401");
        options.Data.ShouldBe(Path.Combine(Environment.CurrentDirectory, "data"));
        options.MasterKey.File.ShouldBe(Path.Combine(options.Data, "master.key"));
        options.Database.ShouldBeNull();
        options.Config.ShouldBe(new ConfigOptions() with { SearchPaths = options.Config.SearchPaths });
        (options.Config.SearchPaths.Count + options.Known.Count + options.Roles.Count + options.TrustedProxies.Length).ShouldBe(0);
        foreach (var text in new[] { "", "---\n", "# nothing\n", "null\n", "config:\nknown: ~\n", "\uFEFFlisten: http://127.0.0.1:7400\n" })
            Load(text).Options.Listen.ShouldBe(options.Listen);
    }

    [Fact]
    public void How_the_server_is_run_is_read_and_https_may_listen_everywhere()
    {
        var options = Load("listen: https://*:7400\ntls: { certificate: tls.crt, key: /run/tls.key }\nlimits: { requestsPerSecond: 0 }\ndrain: 5s\ntelemetry: { otlp: http://collector:4317 }\n").Options;
        options.Operation.ShouldBe(new OperationOptions
        {
            Tls = new TlsOptions(_folder.File("tls.crt"), "/run/tls.key"), RequestsPerSecond = 0, Drain = TimeSpan.FromSeconds(5), Otlp = new Uri("http://collector:4317"),
        });
        Load("").Options.Operation.ShouldBe(new OperationOptions());
        options.ToString().ShouldContain("telemetry: { otlp: http://collector:4317/ }");
    }

    [Fact]
    public void Where_the_record_goes_is_read_and_what_can_not_be_is_told()
    {
        var options = Load("audit: { file: logs/audit.jsonl, maxFileSize: 2GiB, keepFiles: 7, stdout: true, checkpoints: /mnt/c, retention: 30d }\n").Options;
        options.Audit.ShouldBe(new AuditOptions
        {
            File = _folder.File("logs/audit.jsonl"), MaxFileSize = 2L << 30, KeepFiles = 7, Stdout = true, Checkpoints = "/mnt/c", Retention = TimeSpan.FromDays(30),
        });
        options.ToString().ShouldContain("  maxFileSize: 2GiB\n");
        Load("").Options.Audit.ShouldBe(new AuditOptions());
        foreach (var size in new[] { "1048576", "1024KiB", "1MiB" }) Load($"audit: {{ maxFileSize: {size} }}\n").Options.Audit.MaxFileSize.ShouldBe(1 << 20);
        foreach (var wrong in new[]
        {
            "maxFileSize: 1048575", "maxFileSize: 1MB", "maxFileSize: -1MiB", "maxFileSize: 99999999999999999999GiB", "maxFileSize: 2000GiB", "maxFileSize: MiB", "keepFiles: -1", "keepFiles: 1000000",
            "retention: 1h", "retention: forever", "stdout: yes", "files: x", "file: a, checkpoints: a",
        })
            Should.Throw<LockstepException>(() => Load($"audit: {{ {wrong} }}\n")).Errors.ShouldNotBeEmpty(wrong);
    }

    [Fact]
    public void Everything_is_read_and_paths_are_relative_to_the_file()
    {
        var (options, warnings) = Load(
            """
            listen: http://0.0.0.0:8400
            management: "http://[::1]:8401"
            trustedProxies: [10.0.0.0/8, 192.168.1.1]
            data: state
            database: postgres://lockstep:hunter2@db:5432/lockstep?sslmode=require
            masterKey: { env: MASTER_KEY }
            config:
              url: ../config.git
              branch: release/1
              refresh: 500ms0
              searchPaths: ["{application}", 'shared/*']
              credentials: { username: me, passwordFile: secrets/git }
              webhookSecretFile: secrets/hook
              maxStale: 2h
            known:
              - { service: payments, environment: production }
              - service: orders
                environment: dev,local
            access:
              roles:
                payments:
                  permissions: [config:read, secret:reveal]
                  services: [payments]
                  environments: ["*"]
                  secrets: ["payments/**"]
                  paths: []
                  cidrs: []
            """.Replace("500ms0", "1500ms", StringComparison.Ordinal));
        warnings.ShouldBeEmpty();
        options.Listen.ToString().ShouldBe("http://0.0.0.0:8400");
        options.Management.ToString().ShouldBe("http://[::1]:8401");
        options.TrustedProxies.Select(p => p.ToString()).ShouldBe(["10.0.0.0/8", "192.168.1.1/32"]);
        options.Data.ShouldBe(_folder.File("state"));
        options.MasterKey.ShouldBe(new MasterKeyOptions { Env = "MASTER_KEY" });
        options.Config.Url.ShouldBe(Path.GetFullPath(_folder.File("../config.git")));
        (options.Config.Branch, options.Config.Refresh, options.Config.MaxStale).ShouldBe(("release/1", TimeSpan.FromSeconds(1.5), TimeSpan.FromHours(2)));
        options.Config.SearchPaths.ShouldBe(["{application}", "shared/*"]);
        options.Config.Credentials.ShouldBe(new GitCredentials { Username = "me", PasswordFile = _folder.File("secrets/git") });
        options.Config.WebhookSecretFile.ShouldBe(_folder.File("secrets/hook"));
        options.Known.ShouldBe([new("payments", "production"), new("orders", "dev,local")]);
        var role = options.Roles.ShouldHaveSingleItem();
        (role.Name, role.Line, role.Permissions.Count, role.Paths!.Count).ShouldBe(("payments", 22, 2, 0));
        options.ToString().ShouldNotContain("hunter2");
        options.ToString().ShouldContain("database: postgres://***@db:5432/lockstep?***");
    }

    [Fact]
    public void Flags_beat_variables_and_variables_beat_the_file()
    {
        var environment = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["LOCKSTEP_CONFIG__URL"] = "https://git.example/env.git",
            ["LOCKSTEP_CONFIG__SEARCHPATHS"] = "a, b/c",
            ["LOCKSTEP_CONFIG__BRANCH"] = "",
            ["LOCKSTEP_LISTEN"] = "http://localhost:1",
            ["LOCKSTEP_TRUSTEDPROXIES"] = "10.0.0.0/8",
            ["LOCKSTEP_MASTERKEY__ENV"] = "KEY",
        };
        var flags = new Dictionary<string, string>(StringComparer.Ordinal) { ["listen"] = "http://127.0.0.1:2", ["data"] = "d" };
        var (options, warnings) = Load("config: { url: https://git.example/file.git, branch: trunk }\nlisten: http://127.0.0.1:3\ndata: x\n", environment, flags);
        warnings.ShouldBeEmpty();
        (options.Config.Url, options.Config.Branch, options.Listen.Port).ShouldBe(("https://git.example/env.git", "trunk", 2));
        options.Config.SearchPaths.ShouldBe(["a", "b/c"]);
        options.TrustedProxies.Length.ShouldBe(1);
        options.Data.ShouldBe(Path.Combine(Environment.CurrentDirectory, "d"), "a flag is relative to the working directory");
        options.MasterKey.Env.ShouldBe("KEY");
    }

    [Fact]
    public void Unknown_variables_warn_and_the_clients_are_ignored()
    {
        var environment = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["LOCKSTEP_ADDR"] = "x", ["LOCKSTEP_TOKEN"] = "x", ["LOCKSTEP_TOKEN_FILE"] = "x", ["LOCKSTEP_SERVICE"] = "x", ["LOCKSTEP_ENVIRONMENT"] = "x",
            ["LOCKSTEP_INSTANCE"] = "x", ["PATH"] = "x", ["LOCKSTEP_CONFIG__URI"] = "secret", ["LOCKSTEP_ZZZZZZZZZZZZZZZZZ"] = "secret",
        };
        Load("", environment).Warnings.ShouldBe(
        [
            "the variable LOCKSTEP_CONFIG__URI is not a setting and is ignored; did you mean LOCKSTEP_CONFIG__URL?",
            "the variable LOCKSTEP_ZZZZZZZZZZZZZZZZZ is not a setting and is ignored",
        ]);
    }

    [Fact]
    public void Every_mistake_is_reported_at_once_with_its_place()
    {
        var error = Refused(
            """
            lissten: http://127.0.0.1:1
            data: [a]
            masterKey: { file: a, env: b }
            config:
              url: https://me:hunter2@git.example/x.git
              branch: "a..b"
              refresh: 10
              maxStale: 0s
              searchPath: x
              searchPaths: "a"
            known:
              - { service: Payments, environment: production }
              - { service: a, environment: "a,,b", extra: 1 }
              - x
            access: { roles: { a: 1 } }
            config2: { deep: [1] }
            data: twice
            """, new(StringComparer.Ordinal) { ["LOCKSTEP_MANAGEMENT"] = "nonsense" });
        Told(error).ShouldNotContain("hunter2");
        var file = _folder.File("server.yaml");
        error.Errors.Select(e => $"{(e.File == file ? "" : e.File)}:{e.Line} {e.Key}").ShouldBe(
        [
            ":17 data", ":2 data", "LOCKSTEP_MANAGEMENT: management", ":3 masterKey", ":5 config.url", ":7 config.refresh", ":8 config.maxStale", ":10 config.searchPaths",
            ":6 config.branch", ":9 config.searchPath", ":12 known[0].service", ":13 known[1].extra", ":13 known[1].environment", ":14 known[2]", ":15 access.roles.a",
            ":1 lissten", ":16 config2",
        ], ignoreOrder: true);
        error.Errors.Single(e => e.Key == "lissten").Message.ShouldBe("is not a setting; did you mean 'listen'?");
        error.Errors.Single(e => e.Key == "config.searchPath").Message.ShouldContain("did you mean 'searchPaths'?");
        Told(error).ShouldContain($"{file}:1: lissten: is not a setting");
    }

    [Theory]
    [InlineData("listen: http://0.0.0.0:7400", "plain text beyond this machine")]
    [InlineData("listen: http://*:7400", "plain text beyond this machine")]
    [InlineData("listen: https://127.0.0.1:7400", "is https, which needs tls: { certificate, key }")]
    [InlineData("management: https://127.0.0.1:7401", "is https, which needs tls: { certificate, key }")]
    [InlineData("tls: { certificate: a, key: b }", "is used by no listener")]
    [InlineData("listen: https://127.0.0.1:1\ntls: { certificate: a }", "has no key")]
    [InlineData("tls: { key: b }", "has no certificate")]
    [InlineData("limits: { requestsPerSecond: -1 }", "must be a whole number from 0")]
    [InlineData("limits: { requestsPerSecond: 1e3 }", "must be a whole number from 0")]
    [InlineData("limits: { requests: 1 }", "is not a setting")]
    [InlineData("drain: 2m", "must be from 0s to 1m")]
    [InlineData("telemetry: { otlp: 127.0.0.1:4317 }", "must be an http: or https: URL")]
    [InlineData("telemetry: { otlp: \"http://me:hunter2@collector:4318\" }", "must be an http: or https: URL")]
    [InlineData("telemetry: { otlp: \"http://collector:4318?key=hunter2\" }", "must be an http: or https: URL")]
    [InlineData("listen: http://example.com:7400", "must be a URL of an IP address")]
    [InlineData("listen: http://127.0.0.1", "must be a URL of an IP address")]
    [InlineData("listen: http://127.0.0.1:70000", "must be a URL of an IP address")]
    [InlineData("listen: http://127.1:7400", "must be a URL of an IP address")]
    [InlineData("listen: http://127.0.0.1:7400/x", "must be a URL of an IP address")]
    [InlineData("listen: ftp://127.0.0.1:7400", "must be a URL of an IP address")]
    [InlineData("management: http://127.0.0.1:7400", "has the port of listen")]
    [InlineData("trustedProxies: [10.0.0.1/8]", "is not a network")]
    [InlineData("trustedProxies: [10/8]", "is not a network")]
    [InlineData("database: mysql://x", "postgres://")]
    [InlineData("database: postgres://db/x", "config.url is required")]
    [InlineData("config: { url: \"ext::sh -c id\" }", "must be a path or")]
    [InlineData("config: { url: \"file:x\" }", "must be a path or")]
    [InlineData("config: { url: \"ftp://x/y\" }", "must be a path or")]
    [InlineData("config: { url: \"--upload-pack=x\" }", "must be a path or")]
    [InlineData("config: { refresh: 999ms }", "must be from 1s to")]
    [InlineData("config: { searchPaths: [../x] }", "without '..'")]
    [InlineData("config: { credentials: { passwordFile: a, passwordEnv: b } }", "keep one")]
    [InlineData("mounts: {}", "is not a setting")]
    [InlineData("listen: &a http://127.0.0.1:1", "anchors and aliases")]
    [InlineData("listen: !!str http://127.0.0.1:1", "tags are not allowed")]
    [InlineData("a: b\n---\nc: d", "only one YAML document")]
    [InlineData("- a", "the settings are a mapping")]
    [InlineData("just text", "the settings are a mapping")]
    [InlineData("a: [", "not well-formed YAML")]
    [InlineData("[a]: b", "key must be a single value")]
    public void What_is_not_valid_is_refused_with_the_reason(string yaml, string reason) => Told(Refused(yaml)).ShouldContain(reason);

    // As the command line prints it.
    private static string Told(LockstepException error) => string.Join('\n', [error.Message, .. error.Errors.Select(e => e.ToString())]);

    [Fact]
    public void A_listener_beyond_loopback_needs_trusted_proxies()
    {
        Load("listen: http://0.0.0.0:7400\ntrustedProxies: [10.0.0.0/8]\n").Options.Listen.IsLoopback.ShouldBeFalse();
        Load("listen: http://*:0\nmanagement: http://localhost:0\ntrustedProxies: [10.0.0.0/8]\n").Options.Management.IsLoopback.ShouldBeTrue();
    }

    [Theory]
    [InlineData("git@example.com:team/config.git", null)]
    [InlineData("ssh://git@example.com/team/config.git", null)]
    [InlineData("file:///srv/config.git", null)]
    [InlineData("/srv/config.git", null)]
    [InlineData("./a:b", "a:b")]
    [InlineData("config.git", "config.git")]
    public void Repositories_are_named_as_git_names_them(string url, string? insideFolder) =>
        Load($"config: {{ url: \"{url}\" }}").Options.Config.Url.ShouldBe(insideFolder is null ? url : _folder.File(insideFolder));

    [Fact]
    public void A_missing_large_or_binary_file_is_refused()
    {
        Should.Throw<LockstepException>(() => ServerOptionsLoader.Load(_folder.File("none.yaml"), s_nothing, s_nothing)).Message.ShouldContain("can't be read");
        Refused(new string('#', SettingsYaml.MaxLength + 1));
        File.WriteAllBytes(_folder.File("b.yaml"), [0xC3, 0x28]);
        Should.Throw<LockstepException>(() => ServerOptionsLoader.Load(_folder.File("b.yaml"), s_nothing, s_nothing)).Message.ShouldContain("not UTF-8");
        Refused(string.Concat(Enumerable.Repeat("[", 100_000)));
        Refused("a: " + string.Concat(Enumerable.Repeat("{a: ", 1000)));
    }

    [Fact]
    public void Any_text_is_read_or_refused_with_a_reason()
    {
        const string good = "listen: http://127.0.0.1:1\nconfig:\n  url: https://x/y\n  searchPaths: [a, 'b']\nknown:\n  - { service: a, environment: b }\n";
        const string alphabet = "{}[]:,&*!|>'\"%@`#-? \n\t\0ab1~é\uD800";
        var random = new Random(7);
        for (var i = 0; i < 3000; i++)
        {
            var text = new System.Text.StringBuilder(good);
            for (var j = random.Next(1, 6); j > 0; j--) text[random.Next(text.Length)] = alphabet[random.Next(alphabet.Length)];
            var errors = new SettingsErrors();
            SettingsYaml.Read("f", text.ToString(), errors).ShouldNotBeNull();
        }
    }

    [Fact]
    public void Springs_settings_are_read_nested_or_flat_and_printed_without_values()
    {
        var options = Load("spring: { overrides: { a: { b: 1, list: [x, y] }, c.d: 'pre $\\{k}' }, encryptKeyFile: key, acceptEmpty: false, defaultLabel: v1, tryMaster: false, continueOnMissingLabel: true }\ncompat: { spring: false }").Options;
        options.Spring.Overrides.ShouldBe([new("a.b", "1"), new("a.list[0]", "x"), new("a.list[1]", "y"), new("c.d", "pre ${k}")]);
        options.Spring.EncryptKeyFile.ShouldBe(_folder.File("key"));
        (options.Spring.AcceptEmpty, options.Spring.DefaultLabel, options.Spring.TryMaster, options.Spring.ContinueOnMissingLabel).ShouldBe((false, "v1", false, true));
        (options.Compat.Spring, options.Compat.Git).ShouldBe((false, true));
        options.ToString().ShouldContain("  overrides: [a.b, a.list[0], a.list[1], c.d]");
        options.ToString().ShouldNotContain("pre ");
        Told(Refused("spring: { acceptEmpty: maybe }")).ShouldContain("true or false");
        Told(Refused("spring: { overrides: { a: { b: 1 }, a.b: 2 } }")).ShouldContain("two spellings");
        Told(Refused("spring: { key: x }")).ShouldContain("spring.key");
    }

    [Fact]
    public void Overrides_and_the_key_of_cipher_values_shape_documents_and_older_shapes_have_neither()
    {
        var shape = DocumentShape.Of(new ConfigOptions(), [new("a", "1"), new("b", "2")], "id");
        shape.Settings.ShouldBe("""{"format":1,"branch":"main","searchPaths":[],"overrides":{"a":"1","b":"2"},"cipher":"id"}""");
        DocumentShape.Parse(shape.Settings).Overrides.ShouldBe([new("a", "1"), new("b", "2")]);
        DocumentShape.Parse(shape.Settings).Cipher.ShouldBe("id");
        var old = DocumentShape.Parse("""{"format":1,"branch":"main","searchPaths":[]}""");
        (old.Overrides.Length, old.Cipher).ShouldBe((0, null));
        DocumentShape.Of(new ConfigOptions()).Hash.ShouldBe(old.Hash);
    }

    [Fact]
    public void The_shape_hash_follows_the_settings_that_shape_documents_and_no_others()
    {
        var config = new ConfigOptions { SearchPaths = ["a", "b"] };
        var shape = DocumentShape.Of(config);
        shape.Settings.ShouldBe("""{"format":1,"branch":"main","searchPaths":["a","b"]}""");
        shape.Hash.ShouldBe("9e9160748798e4e2fc88ea292a45ce9c46894937374b439bf20b84630260c9bc");
        DocumentShape.Of(config with { Refresh = TimeSpan.FromSeconds(1), Url = "/x" }).Hash.ShouldBe(shape.Hash);
        DocumentShape.Of(config with { SearchPaths = ["b", "a"] }).Hash.Equals(shape.Hash, StringComparison.Ordinal).ShouldBeFalse();
        DocumentShape.Of(config with { Branch = "x" }).Hash.Equals(shape.Hash, StringComparison.Ordinal).ShouldBeFalse();
    }

    private LoadedOptions Load(string yaml, Dictionary<string, string>? environment = null, Dictionary<string, string>? flags = null)
    {
        File.WriteAllText(_folder.File("server.yaml"), yaml);
        return ServerOptionsLoader.Load(_folder.File("server.yaml"), environment ?? s_nothing, flags ?? s_nothing);
    }

    private LockstepException Refused(string yaml, Dictionary<string, string>? environment = null)
    {
        var error = Should.Throw<LockstepException>(() => Load(yaml, environment));
        error.Code.ShouldBe(ErrorCode.InvalidConfig);
        return error;
    }
}
