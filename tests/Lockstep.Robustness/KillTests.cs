using Shouldly;
using Xunit;
using Xunit.Abstractions;
using PostgresServer = Lockstep.Tests.Support.PostgresServer;

namespace Lockstep.Robustness;

/// <summary>L8 with the program itself: what was answered is there after SIGKILL, and the books agree.</summary>
[Trait("speed", "medium")]
public sealed class KillTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public Task What_was_acknowledged_survives_a_kill_amid_writes_on_SQLite(int seed) => KillAmidWritesAsync(seed, "");

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    public async Task What_was_acknowledged_survives_a_kill_amid_writes_on_PostgreSQL(int seed)
    {
        if (PostgresServer.Missing is { } missing)
        {
            output.WriteLine(missing);
            return;
        }
        await KillAmidWritesAsync(seed, $"database: {await PostgresServer.CreateDatabaseAsync()}");
    }

    private async Task KillAmidWritesAsync(int seed, string settings)
    {
        using var scratch = new Scratch();
        var repository = await ConfigRepository.CreateAsync(scratch["config.git"], [("shop.yml", "n: 0\npassword: ${secret:shop/db}\n")]);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = repository.Path, Settings = settings });
        var writes = new AcknowledgedWrites(server, repository);
        await writes.SetUpAsync();
        // Two lives, so that the second start stands on what a killed one left.
        for (var life = 1; life <= 2; life++)
        {
            var target = writes.Count + 60 + new Random(seed * life).Next(50);
            var running = writes.RunAsync(seed * life);
            await Tool.UntilAsync(() => Task.FromResult(writes.Count >= target || running.IsCompleted), TimeSpan.FromSeconds(90), $"{target} writes are acknowledged");
            await server.KillAsync();
            await running;
            writes.Count.ShouldBeGreaterThanOrEqualTo(target, server.Log);

            await server.StartAgainAsync();
            await writes.CheckAsync();
        }
        output.WriteLine($"{writes.Count} writes were acknowledged");
    }
}
