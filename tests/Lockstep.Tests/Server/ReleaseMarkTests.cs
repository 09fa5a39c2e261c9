using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Server;

public sealed class ReleaseMarkTests
{
    [Fact]
    [Trait("speed", "medium")]
    public async Task A_database_that_is_put_back_starts_a_new_epoch_and_one_that_is_not_keeps_its()
    {
        using var repository = new TestRepository();
        repository.Commit(("shop.yml", "password: ${secret:db}\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("db", "one")).Ok();
        var epoch = server.Database.Epoch;
        await server.RestartAsync();
        server.Database.Epoch.ShouldBe(epoch);
        await server.StopAsync();
        var backup = server.Data.File("backup.db");
        var database = Directory.GetFiles(server.Options.Data, "*.db").ShouldHaveSingleItem();
        File.Copy(database, backup);

        await server.StartAsync();
        (await server.PutValueAsync("db", "two")).Ok();
        await using var watcher = await TestWatcher.ConnectAsync(server, server.Admin.Token);
        await watcher.SubscribeAsync(1, "shop/dev");
        var held = watcher.Held[1];
        await server.StopAsync();
        File.Copy(backup, database, overwrite: true);
        foreach (var leftover in Directory.GetFiles(server.Options.Data, "*.db-*")) File.Delete(leftover);

        await server.StartAsync();
        server.Database.Epoch.ShouldNotBe(epoch);
        await using var back = await TestWatcher.ConnectAsync(server, server.Admin.Token);
        back.Epoch.ShouldNotBe(watcher.Epoch);
        await back.SubscribeAsync(1, "shop/dev");
        back.Held[1]["password"].ShouldBe("one");
        back.Held[1].Release.ShouldBeLessThan(held.Release);
        var renewed = server.Database.Epoch;
        await server.RestartAsync();
        server.Database.Epoch.ShouldBe(renewed);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("garbage")]
    [InlineData("another-epoch 999999")]
    public async Task Without_its_mark_a_database_starts_a_new_epoch(string? mark)
    {
        using var repository = new TestRepository();
        repository.Commit(("shop.yml", "a: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        var epoch = server.Database.Epoch;
        await server.StopAsync();
        var path = Path.Combine(server.Options.Data, "release.mark");
        if (mark is null) File.Delete(path);
        else await File.WriteAllTextAsync(path, mark);
        await server.StartAsync();
        server.Database.Epoch.ShouldNotBe(epoch);
        (await server.Admin.ConfigAsync("shop/dev")).Ok();
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_shared_database_keeps_its_epoch_for_a_directory_that_is_new_to_it()
    {
        if (PostgresServer.Missing is not null) return;
        using var repository = new TestRepository();
        repository.Commit(("shop.yml", "a: 1\n"));
        await using var server = await TestServer.StartAsync(repository, database: await PostgresServer.CreateDatabaseAsync());
        var epoch = server.Database.Epoch;
        await server.StopAsync();
        File.Delete(Path.Combine(server.Options.Data, "release.mark"));
        await server.StartAsync();
        server.Database.Epoch.ShouldBe(epoch);
    }
}
