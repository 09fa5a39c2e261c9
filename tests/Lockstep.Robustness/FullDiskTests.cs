using System.Net;
using Lockstep.Client;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Robustness;

/// <summary>A full disk: what must be recorded fails, the rest is served, and nothing has to be started again.</summary>
[Trait("speed", "medium")]
public sealed class FullDiskTests(ITestOutputHelper output)
{
    [Fact]
    public async Task A_full_disk_refuses_writes_and_disclosures_and_heals_by_itself()
    {
        using var scratch = new Scratch();
        var disk = Directory.CreateDirectory(scratch["disk"]).FullName;
        if (await MountAsync("mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk) is { } reason)
        {
            output.WriteLine($"SKIPPED: a small disk can't be mounted here: {reason.Trim()}");
            return;
        }
        try
        {
            await RunAsync(scratch, disk);
        }
        finally
        {
            await MountAsync("umount", disk);
        }
    }

    private static async Task RunAsync(Scratch scratch, string disk)
    {
        var repository = await ConfigRepository.CreateAsync(scratch["config.git"], [("plain.yml", "a: 1\n"), ("shop.yml", "password: ${secret:shop/db}\n")]);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = repository.Path, Data = Path.Combine(disk, "data") });
        using var api = server.Api();
        await api.PutSecretAsync("shop/db", Value("first", isNew: true));
        await api.GetConfigAsync("shop", "production");
        await api.GetConfigAsync("plain", "production");

        await FillAsync(Path.Combine(disk, "ballast"));
        var acknowledged = 0;
        var refused = await Should.ThrowAsync<LockstepException>(async () =>
        {
            while (true)
            {
                await api.PutSecretAsync($"fill/{acknowledged + 1}", Value(new string('x', 30_000), isNew: true));
                acknowledged++;
            }
        });
        refused.Code.ShouldBe(ErrorCode.Unavailable);
        refused.Message.ShouldContain("full");

        // Disclosures take little room; sooner or later they do not fit either.
        var silenced = await Should.ThrowAsync<LockstepException>(async () =>
        {
            while (true) await api.GetConfigAsync("shop", "production");
        });
        silenced.Code.ShouldBe(ErrorCode.Unavailable);
        silenced.Message.ShouldContain("full");
        (await server.RunAsync("secret", "set", "other", "value")).ExitCode.ShouldBe(6);
        var (status, readiness) = await server.ReadinessAsync();
        status.ShouldBe(HttpStatusCode.ServiceUnavailable);
        readiness.ShouldContain("full");
        (await api.GetConfigAsync("plain", "production")).Snapshot!.Values["a"].GetInt32().ShouldBe(1);
        server.Log.ShouldNotContain("Unhandled");

        File.Delete(Path.Combine(disk, "ballast"));
        await Tool.UntilAsync(async () => (await server.ReadinessAsync()).Status == HttpStatusCode.OK, TimeSpan.FromSeconds(20), "ready again");
        await CheckAsync(api, acknowledged);
        await server.KillAsync();
        await server.StartAgainAsync();
        await CheckAsync(api, acknowledged);
    }

    private static async Task CheckAsync(LockstepClient api, int acknowledged)
    {
        await api.PutSecretAsync("shop/db", Value("later"));
        (await api.GetConfigAsync("shop", "production")).Snapshot!.Values["password"].GetString().ShouldBe("later");
        for (var n = 1; n <= acknowledged; n++) (await api.RevealSecretAsync($"fill/{n}")).Value.Length.ShouldBe(30_000);
        (await api.VerifyAuditAsync()).Valid.ShouldBeTrue();
    }

    private static SecretPut Value(string text, bool isNew = false) => new() { Value = System.Text.Json.JsonSerializer.SerializeToElement(text), Cas = isNew ? 0 : null };

    // Leaves a little, so that the server meets the end by itself.
    private static async Task FillAsync(string path)
    {
        await using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        var block = new byte[64 * 1024];
        try
        {
            while (true) await file.WriteAsync(block);
        }
        catch (IOException)
        {
            file.SetLength(Math.Max(0, file.Length - 256 * 1024));
        }
    }

    private static async Task<string?> MountAsync(string program, params string[] arguments)
    {
        try
        {
            var result = await Tool.RunAsync(program, arguments);
            return result.ExitCode == 0 ? null : result.Error;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return e.Message;
        }
    }
}
