using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Settings;

public sealed class MasterKeySettingsTests : IDisposable
{
    private static readonly Dictionary<string, string> s_nothing = new(StringComparer.Ordinal);
    private readonly TempDirectory _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Each_place_is_read_with_its_own_and_printed_without_what_is_secret()
    {
        var options = Load("""
            masterKey:
              vaultTransit:
                address: https://vault.example:8200
                key: lockstep
                mount: team/transit
                namespace: ops
                caFile: ca.pem
                auth: { appRole: { roleIdFile: role, secretIdFile: secret } }
              previous: { file: old.key }
            """);
        options.MasterKey.ShouldBe(new MasterKeyOptions
        {
            VaultTransit = new()
            {
                Address = new Uri("https://vault.example:8200"), Key = "lockstep", Mount = "team/transit", Namespace = "ops", CaFile = _folder.File("ca.pem"),
                AppRole = new(_folder.File("role"), _folder.File("secret"), "approle"),
            },
            Previous = new() { File = _folder.File("old.key") },
        });
        options.ToString().ShouldContain($"masterKey: {{ vaultTransit: {{ address: https://vault.example:8200/, mount: team/transit, key: lockstep }}, previous: {{ file: {_folder.File("old.key")} }} }}");
        Load("masterKey: { env: NEW, previous: { env: OLD } }").MasterKey.ShouldBe(new MasterKeyOptions { Env = "NEW", Previous = new() { Env = "OLD" } });
        Load("masterKey: { vaultTransit: { address: \"http://127.0.0.1:8200\", key: k, auth: { tokenFile: t } } }").MasterKey.VaultTransit!.TokenFile.ShouldBe(_folder.File("t"));
    }

    [Theory]
    [InlineData("{ file: a, vaultTransit: { address: \"https://v\", key: k, auth: { tokenFile: t } } }", "keep one")]
    [InlineData("{ vaultTransit: { address: \"http://vault.example:8200\", key: k, auth: { tokenFile: t } } }", "use https")]
    [InlineData("{ vaultTransit: { address: \"https://me:pw@vault.example\", key: k, auth: { tokenFile: t } } }", "without user")]
    [InlineData("{ vaultTransit: { address: \"https://v\", key: ../sys/seal, auth: { tokenFile: t } } }", "vaultTransit.key")]
    [InlineData("{ vaultTransit: { address: \"https://v\", key: k, mount: \"a b\", auth: { tokenFile: t } } }", "vaultTransit.mount")]
    [InlineData("{ vaultTransit: { address: \"https://v\", key: k } }", "how to log in")]
    [InlineData("{ vaultTransit: { address: \"https://v\", key: k, auth: { tokenFile: t, appRole: { roleIdFile: r, secretIdFile: s } } } }", "keep one")]
    [InlineData("{ vaultTransit: { address: \"https://v\", key: k, auth: { appRole: { roleIdFile: r } } } }", "needs both")]
    [InlineData("{ vaultTransit: { address: \"https://v\", auth: { tokenFile: t } } }", "vaultTransit.key")]
    [InlineData("{ vaultTransit: { address: \"https://v\", key: k, auth: { token: t } } }", "is not a setting")]
    [InlineData("{ previous: { file: a } }", "nothing says where it is now")]
    [InlineData("{ file: a, previous: { file: a } }", "is where the key is now")]
    [InlineData("{ file: a, previous: { file: b, previous: { file: c } } }", "is not a setting")]
    public void What_can_not_be_meant_is_told(string yaml, string told)
    {
        var error = Should.Throw<LockstepException>(() => Load("masterKey: " + yaml));
        string.Join("\n", error.Errors.Select(e => e.ToString())).ShouldContain(told);
    }

    private ServerOptions Load(string yaml)
    {
        var file = _folder.File("server.yaml");
        File.WriteAllText(file, yaml);
        return ServerOptionsLoader.Load(file, s_nothing, s_nothing).Options;
    }
}
