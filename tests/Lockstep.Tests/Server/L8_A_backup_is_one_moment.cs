using System.Collections.Concurrent;
using System.Globalization;
using Lockstep.Secrets;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Tests.Server;

/// <summary>
/// L8 through a backup: while others write at random, backups are taken. What is restored is, to the last version, what was acknowledged up to the backup's release, and nothing after it;
/// on either database, and from one to the other.
/// </summary>
[Trait("speed", "medium")]
public sealed class L8_A_backup_is_one_moment(ITestOutputHelper output)
{
    [Theory]
    [InlineData(false, false, 1)]
    [InlineData(false, true, 2)]
    [InlineData(true, false, 3)]
    [InlineData(true, true, 4)]
    public async Task Restored_is_what_was_acknowledged_at_the_backups_release(bool fromPostgres, bool toPostgres, int seed)
    {
        if ((fromPostgres || toPostgres) && PostgresServer.Missing is { } missing)
        {
            output.WriteLine(missing);
            return;
        }
        output.WriteLine($"seed {seed}");
        await using var server = await StartAsync(fromPostgres ? await PostgresServer.CreateDatabaseAsync() : null);
        var model = new Model(server, seed);
        await model.SetUpAsync();
        using var stop = new CancellationTokenSource();
        var writing = Enumerable.Range(0, 3).Select(n => Task.Run(() => model.WriteAsync(n, stop.Token))).ToArray();
        var backups = new List<(string File, long Release, string Token)>();
        for (var n = 0; n < 2; n++)
        {
            await Poll.UntilAsync(() => model.Count >= 30 * (n + 1) || writing.Any(w => w.IsCompleted), "writes");
            var token = (await server.AsAsync("reader")).Token!;
            var (file, release) = await RestoredServer.BackupAsync(server, $"{n}.backup");
            backups.Add((file, release, token));
        }
        var late = (await server.AsAsync("reader")).Token!;
        await stop.CancelAsync();
        await Task.WhenAll(writing);

        foreach (var (file, release, token) in backups)
        {
            var (restored, report) = await RestoredServer.RestoreAsync(server, file, toPostgres ? await PostgresServer.CreateDatabaseAsync() : null);
            await using var owned = restored;
            report.Release.ShouldBe(release);
            await restored.StartAsync();
            restored.Release.ShouldBe(release, $"seed {seed}");
            restored.Database.Epoch.ShouldNotBe(server.Database.Epoch);
            await model.CheckAsync(restored, release);
            (await new TestCaller(restored, token).GetAsync("/v1/whoami")).ShouldBe(200);
            (await new TestCaller(restored, late).GetAsync("/v1/whoami")).ShouldBe(401);
            var admin = new TestCaller(restored, server.Admin.Token);
            (await admin.GetAsync("/v1/audit/verify")).Ok().Json.GetProperty("valid").GetBoolean().ShouldBeTrue();
            (await admin.GetAsync("/v1/audit?action=backup.restore")).Ok().Json.GetProperty("items").GetArrayLength().ShouldBe(1);
            // Life goes on.
            (await admin.PutAsync("/v1/secrets/shop/db", new { value = "after" })).Ok().Json.GetProperty("release").GetInt64().ShouldBe(release + 1);
            (await admin.ConfigAsync("shop/production")).Ok().Value("password").ShouldBe("after");
        }
    }

    private static async Task<TestServer> StartAsync(string? database)
    {
        var server = TestServer.Create("", o => o with { Config = o.Config with { Url = null } }, database: database);
        await server.StartAsync();
        await server.AsAdminAsync();
        return server;
    }

    private sealed class Model(TestServer server, int seed)
    {
        // What was answered: secret and version, with the release that it came with.
        private readonly ConcurrentDictionary<(string Id, int Version), (string Value, long Release)> _secrets = new();
        private readonly SemaphoreSlim _committing = new(1, 1);
        private int _count;
        private int _commits;

        public int Count => Volatile.Read(ref _count);

        public async Task SetUpAsync()
        {
            await PutAsync("shop/db", "first");
            await CommitAsync();
            (await server.Admin.ConfigAsync("shop/production")).Ok().Value("password").ShouldBe("first");
        }

        public async Task WriteAsync(int writer, CancellationToken stop)
        {
            var random = new Random((seed * 10) + writer);
            for (var n = 0; !stop.IsCancellationRequested; n++)
            {
                switch (random.Next(6))
                {
                    case 0:
                        await CommitAsync();
                        break;
                    case 1:
                        await server.AsAsync("reader");
                        break;
                    default:
                        await PutAsync(random.Next(3) switch { 0 => "shop/db", 1 => "all/shared", _ => $"own/{writer}-{n}" }, $"value {writer}-{n}");
                        break;
                }
                Interlocked.Increment(ref _count);
            }
        }

        public async Task CheckAsync(TestServer restored, long release)
        {
            var admin = new TestCaller(restored, server.Admin.Token);
            foreach (var ((id, version), (value, at)) in _secrets)
            {
                var read = await ReadAsync(restored, id, version);
                if (at <= release) read.ShouldBe(value, $"{id}@{version} of release {at}, seed {seed}");
                else read.ShouldBeNull($"{id}@{version} of release {at} is after {release}, seed {seed}");
            }
            var theirs = (await server.Admin.ConfigAsync("shop/production", $"?release={release}")).Ok();
            (await admin.ConfigAsync("shop/production")).Ok().SortedValues.ShouldBe(theirs.SortedValues, $"seed {seed}");
        }

        private static async Task<string?> ReadAsync(TestServer restored, string id, int version)
        {
            try
            {
                return (await restored.Gate.Secrets.ReadAsync(SecretId.Parse(id), version, CancellationToken.None)).Reveal();
            }
            catch (Lockstep.Client.LockstepException e) when (e.Code == Lockstep.Client.ErrorCode.NotFound)
            {
                return null;
            }
        }

        private async Task PutAsync(string id, string value)
        {
            var answer = await server.PutAsync(id, value);
            if (answer.Status is 409 or 412) answer = await server.PutValueAsync(id, value);
            var written = answer.Ok().Json;
            _secrets.TryAdd((id, written.GetProperty("version").GetInt32()), (value, written.GetProperty("release").GetInt64())).ShouldBeTrue();
        }

        private async Task CommitAsync()
        {
            await _committing.WaitAsync();
            try
            {
                var before = await server.Admin.GetAsync("/v1/files/shop.yml");
                var text = $"n: {(++_commits).ToString(CultureInfo.InvariantCulture)}\npassword: ${{secret:shop/db}}\n";
                (await server.Admin.SendAsync("PUT", "/v1/files/shop.yml", text, before.Status == 404 ? ("If-None-Match", "*") : ("If-Match", before.ETag))).Ok();
            }
            finally
            {
                _committing.Release();
            }
        }
    }
}
