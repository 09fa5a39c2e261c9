using System.Text.Json;
using Lockstep.Client;
using Shouldly;
using Xunit;
using Xunit.Abstractions;
using PostgresServer = Lockstep.Tests.Support.PostgresServer;

namespace Lockstep.Robustness;

/// <summary>The program itself: killed while it changes its master key under writes; backed up, restored and served again.</summary>
[Trait("speed", "medium")]
public sealed class RekeyTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(3, true)]
    public async Task A_server_killed_while_it_changes_its_key_under_writes_starts_again_with_every_secret(int seed, bool postgres)
    {
        if (postgres && PostgresServer.Missing is { } missing)
        {
            output.WriteLine(missing);
            return;
        }
        output.WriteLine($"seed {seed}");
        using var scratch = new Scratch();
        var repository = await ConfigRepository.CreateAsync(scratch["config.git"], [("shop.yml", "n: 0\npassword: ${secret:shop/db}\n")]);
        await using var server = await PublishedServer.StartAsync(new()
        {
            ConfigUrl = repository.Path,
            Settings = postgres ? $"database: {await PostgresServer.CreateDatabaseAsync()}" : "",
        });
        var writes = new AcknowledgedWrites(server, repository);
        await writes.SetUpAsync();
        var random = new Random(seed);
        var answered = 0;
        for (var life = 1; life <= 4; life++)
        {
            var target = writes.Count + 40 + random.Next(40);
            var running = writes.RunAsync((seed * 100) + life);
            await Tool.UntilAsync(() => Task.FromResult(writes.Count >= target || running.IsCompleted), TimeSpan.FromSeconds(90), $"{target} writes are acknowledged");
            // Again and again, so that the kill falls anywhere in it.
            var rekeys = Task.Run(async () =>
            {
                using var api = server.Api();
                try
                {
                    while (true)
                    {
                        (await api.RekeyAsync()).Damaged.ShouldBe(0);
                        Interlocked.Increment(ref answered);
                    }
                }
                catch (LockstepException e) when (e.Code == ErrorCode.Unavailable)
                {
                    // It is gone.
                }
            });
            var after = writes.Count + random.Next(1, 30);
            await Tool.UntilAsync(() => Task.FromResult(writes.Count >= after || running.IsCompleted), TimeSpan.FromSeconds(90), "writes go on");
            await server.KillAsync();
            await running;
            await rekeys;
            await server.StartAgainAsync();
            await writes.CheckAsync();
            File.Exists(Path.Combine(server.Data, "master.key.next")).ShouldBeFalse($"seed {seed}");
        }
        output.WriteLine($"{writes.Count} writes and {answered} changes of the key were acknowledged");
    }

    [Fact]
    public async Task A_Vault_that_is_not_there_ends_the_start_with_its_name_and_a_status()
    {
        using var scratch = new Scratch();
        var token = scratch.Write("token", "hvs.never-to-be-seen");
        var settings = scratch.Write("server.yaml", $$"""
            listen: http://127.0.0.1:{{Tool.FreePort()}}
            management: http://127.0.0.1:{{Tool.FreePort()}}
            data: {{scratch["data"]}}
            masterKey: { vaultTransit: { address: "http://127.0.0.1:{{Tool.FreePort()}}", key: lockstep, auth: { tokenFile: {{token}} } } }
            """);
        var result = await Tool.RunAsync(Tool.Start(PublishedServer.Executable, ["serve", "--config", settings], scratch.Path, []));
        result.ExitCode.ShouldBe(6);
        result.Error.ShouldContain("the Transit key transit/lockstep at http://127.0.0.1:");
        result.Error.ShouldContain("Unseal or start the Vault");
        (result.Output + result.Error).ShouldNotContain("never-to-be-seen");
    }

    [Fact]
    public async Task A_backup_made_and_restored_with_the_commands_serves_what_was_backed_up()
    {
        await using var server = await PublishedServer.StartAsync();
        using (var api = server.Api())
            await api.PutSecretAsync("shop/web", new SecretPut { Value = JsonSerializer.SerializeToElement("kept"), Cas = 0 });
        using var scratch = new Scratch();
        var file = scratch["all.backup"];
        var made = JsonElement.Parse((await server.RunAsync("backup", "--out", file, "--json")).Ok());
        made.GetProperty("bytes").GetInt64().ShouldBe(new FileInfo(file).Length);
        if (!OperatingSystem.IsWindows()) File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Directory.GetFiles(scratch.Path).ShouldBe([file]);
        (await server.RunAsync("backup", "--out", file)).ExitCode.ShouldBe(5);
        (await server.RunAsync("rekey", "--yes", "--json")).Ok().ShouldContain("\"damaged\":0");

        // The key of then goes with the backup of then.
        var data = scratch["restored"];
        var wrong = await server.RunAsync("restore", file, "--data", data);
        wrong.ExitCode.ShouldBe(5);
        Directory.Exists(data).ShouldBeFalse();
        var second = scratch["second.backup"];
        (await server.RunAsync("backup", "--out", second)).Ok();
        Directory.CreateDirectory(data);
        File.Copy(Path.Combine(server.Data, "master.key"), Path.Combine(data, "master.key"));
        var restored = await server.RunAsync("restore", second, "--data", data, "--json");
        JsonElement.Parse(restored.Ok()).GetProperty("secrets").GetInt64().ShouldBeGreaterThan(0);
        restored.Error.ShouldContain("ALIVE AGAIN");
        Directory.GetFileSystemEntries(data).Select(Path.GetFileName).ShouldNotContain(".restoring");

        await server.StopAsync();
        await using var other = await PublishedServer.StartOnAsync(data, server.Token);
        using var client = other.Api();
        (await client.RevealSecretAsync("shop/web")).Value.ShouldBe("kept");
        (await client.VerifyAuditAsync()).Valid.ShouldBeTrue();
    }
}
