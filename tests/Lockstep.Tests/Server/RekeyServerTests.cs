using System.Collections.Concurrent;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Tests.Server;

/// <summary>A change of the master key as clients of a running server see it: not at all.</summary>
[Trait("speed", "medium")]
public sealed class RekeyServerTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Reads_and_writes_go_on_while_the_key_is_changed_again_and_again(bool postgres)
    {
        if (postgres && PostgresServer.Missing is { } missing)
        {
            output.WriteLine(missing);
            return;
        }
        using var repository = new TestRepository();
        repository.Commit(("shop.yml", "password: ${secret:shop/db}\n"));
        await using var server = await TestServer.StartAsync(repository, database: postgres ? await PostgresServer.CreateDatabaseAsync() : null);
        (await server.PutAsync("shop/db", "v0")).Ok();
        var values = new ConcurrentDictionary<string, string>(StringComparer.Ordinal);
        using var stop = new CancellationTokenSource();
        var work = Enumerable.Range(0, 4).Select(n => Task.Run(async () =>
        {
            for (var i = 0; !stop.IsCancellationRequested; i++)
            {
                var id = $"s/{n}-{i}";
                (await server.PutAsync(id, "value of " + id)).Ok();
                values[id] = "value of " + id;
                // Not from the cache: the value's first reading.
                await RevealAsync(server, id);
                (await server.PutValueAsync("shop/db", id)).Ok();
                (await server.Admin.ConfigAsync("shop/production")).Ok();
            }
        })).ToArray();
        for (var n = 0; n < 4; n++)
        {
            await Poll.UntilAsync(() => values.Count >= 20 * (n + 1) || work.Any(w => w.IsCompleted), "writes");
            var answer = (await server.Admin.PostAsync("/v1/rekey")).Ok().Json;
            answer.GetProperty("rewrapped").GetInt32().ShouldBeGreaterThan(0);
            answer.GetProperty("damaged").GetInt32().ShouldBe(0);
        }
        await stop.CancelAsync();
        await Task.WhenAll(work);
        await server.RestartAsync();
        foreach (var (id, value) in values) (await RevealAsync(server, id)).ShouldBe(value);
        (await server.Admin.GetAsync("/v1/audit/verify")).Ok().Json.GetProperty("valid").GetBoolean().ShouldBeTrue();
    }

    [Fact]
    public async Task A_database_from_before_the_key_ring_opens_unchanged_and_outlives_a_change_of_the_key()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        (await server.PutAsync("shop/db", "old")).Ok();
        await server.StopAsync();
        await ForgetKeyRingAsync(server);
        await server.StartAsync();
        await ValidAsync(server);
        (await server.Admin.PostAsync("/v1/rekey")).Ok();
        (await server.PutValueAsync("shop/db", "new")).Ok();
        await ValidAsync(server);
        await server.RestartAsync();
        await ValidAsync(server);
        (await RevealAsync(server, "shop/db")).ShouldBe("new");
        (await server.Gate.Secrets.ReadAsync(Lockstep.Secrets.SecretId.Parse("shop/db"), 1, CancellationToken.None)).Reveal().ShouldBe("old");
    }

    [Fact]
    public async Task A_start_with_previous_wraps_everything_anew_and_readiness_tells_when_it_can_go()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        (await server.PutAsync("shop/db", "kept")).Ok();
        var old = new MasterKeyOptions { File = Path.Combine(server.Options.Data, "master.key") };
        server.Options = server.Options with { MasterKey = new MasterKeyOptions { File = server.Data.File("elsewhere/new.key"), Previous = old } };
        await server.RestartAsync();
        (await RevealAsync(server, "shop/db")).ShouldBe("kept");
        (await server.Admin.GetAsync("/readyz")).Text.ShouldContain("masterKey.previous is not needed any more");
        (await server.Admin.GetAsync("/v1/audit?action=key.rekey")).Ok().Json.GetProperty("items").GetArrayLength().ShouldBe(1);
        File.Delete(old.File!);
        await server.RestartAsync();
        server.Options = server.Options with { MasterKey = server.Options.MasterKey with { Previous = null } };
        await server.RestartAsync();
        (await server.Admin.GetAsync("/readyz")).Text.ShouldNotContain("masterKey");
        (await RevealAsync(server, "shop/db")).ShouldBe("kept");
    }

    [Fact]
    public async Task A_database_from_before_the_key_ring_keeps_its_record_when_its_key_moves_in_the_same_start()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        (await server.PutAsync("shop/db", "old")).Ok();
        await server.StopAsync();
        await ForgetKeyRingAsync(server);
        var old = new MasterKeyOptions { File = Path.Combine(server.Options.Data, "master.key") };
        server.Options = server.Options with { MasterKey = new MasterKeyOptions { File = server.Data.File("elsewhere/new.key"), Previous = old } };
        await server.StartAsync();
        await ValidAsync(server);
        (await RevealAsync(server, "shop/db")).ShouldBe("old");
    }

    [Fact]
    public async Task A_key_that_was_taken_out_of_the_database_is_not_made_anew()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        (await server.Admin.PostAsync("/v1/rekey")).Ok();
        await server.ExecuteAsync("DELETE FROM audit");
        await server.ExecuteAsync("DELETE FROM meta WHERE name = 'key:audit'");
        await server.StopAsync();
        (await Should.ThrowAsync<LockstepException>(server.StartAsync())).Message.ShouldContain("the key audit is missing from the database");
    }

    [Fact]
    public async Task The_master_key_is_there_until_the_last_read_and_write_have_ended()
    {
        using var place = new TempDirectory();
        var options = new ServerOptions { Listen = ListenAddress.Loopback(0), Management = ListenAddress.Loopback(0), Data = place.File("data"), MasterKey = new MasterKeyOptions(), Config = new ConfigOptions() };
        var store = await Lockstep.Server.DataStore.OpenAsync(options, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance, TimeProvider.System, CancellationToken.None);
        using var go = new ManualResetEventSlim();
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var reading = Task.Run(() => store.Database.ReadAsync(_ => { begun.SetResult(); go.Wait(); return store.MasterKey.Derive("backup"); }, CancellationToken.None));
        var before = store.MasterKey.Derive("backup");
        await begun.Task;
        var closing = store.DisposeAsync().AsTask();
        try
        {
            store.MasterKey.Derive("backup").ShouldBe(before);
        }
        finally
        {
            go.Set();
        }
        (await reading).ShouldBe(before);
        await closing;
        Should.Throw<ObjectDisposedException>(() => store.MasterKey.Derive("backup"));
    }

    // As every program before left it: these keys were derived each time, and there is neither row nor name.
    private static async Task ForgetKeyRingAsync(TestServer server)
    {
        await using var database = await Database.OpenAsync(server.Options.Data, null, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance, TimeProvider.System, CancellationToken.None);
        (await database.WriteAsync(s => s.Execute("DELETE FROM meta WHERE name IN ('key:audit', 'key:list-cursor', 'key:cipher-identity', 'keys-underived', 'database-id', 'master-key-sealed')"), CancellationToken.None)).ShouldBeGreaterThanOrEqualTo(4);
    }

    private static async Task ValidAsync(TestServer server) =>
        (await server.Admin.GetAsync("/v1/audit/verify")).Ok().Json.GetProperty("valid").GetBoolean().ShouldBeTrue();

    private static async Task<string> RevealAsync(TestServer server, string id)
    {
        using var client = new LockstepClient(new LockstepClientOptions { Address = new Uri(server.Server.Address), Token = _ => new(server.Admin.Token) });
        return (await client.RevealSecretAsync(id)).Value;
    }
}
