using System.Collections.Concurrent;
using System.Text.Json;
using Lockstep.Client;
using Shouldly;

namespace Lockstep.Robustness;

/// <summary>Several clients that write until the server is gone, what they were answered, and the check that it is all there.</summary>
internal sealed class AcknowledgedWrites(PublishedServer server, ConfigRepository repository)
{
    private const int Clients = 4;

    private readonly ConcurrentDictionary<(string Id, int Version), string> _secrets = new();
    private readonly ConcurrentDictionary<string, string> _tokens = new(StringComparer.Ordinal);
    private readonly ConcurrentBag<string> _rolled = [];
    private readonly ConcurrentBag<(long Release, string Commit)> _refreshes = [];
    private readonly ConcurrentBag<long> _releases = [];
    private readonly ConcurrentDictionary<string, bool> _rolling = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _committing = new(1, 1);
    private int _count;
    private int _commit;

    public int Count => Volatile.Read(ref _count);

    public async Task SetUpAsync()
    {
        using var api = server.Api();
        await PutAsync(api, "shop/db", "first");
        (await api.GetConfigAsync("shop", "production")).Snapshot!.Values["password"].GetString().ShouldBe("first");
    }

    /// <summary>Writes until the connection breaks for each client.</summary>
    public Task RunAsync(int seed) => Task.WhenAll(Enumerable.Range(0, Clients).Select(n => Task.Run(() => WriteUntilGoneAsync(n, seed))));

    public async Task CheckAsync()
    {
        using var api = server.Api();
        var verified = await api.VerifyAuditAsync();
        verified.Valid.ShouldBeTrue($"{verified.FirstBad?.Node} {verified.FirstBad?.Seq}: {verified.FirstBad?.Reason}");
        await CheckSecretsAsync(api);
        await CheckTokensAsync(api);
        await CheckReleasesAsync(api);
        var served = (await api.GetConfigAsync("shop", "production")).Snapshot!;
        served.Stale.ShouldBeNull();
        served.Values.Keys.ShouldBe(["n", "password"], ignoreOrder: true);
    }

    private async Task WriteUntilGoneAsync(int client, int seed)
    {
        var random = new Random(seed * 100 + client);
        using var api = server.Api();
        try
        {
            for (var n = 0; ; n++)
            {
                await WriteOneAsync(api, random, $"{seed}-{client}-{n}");
                Interlocked.Increment(ref _count);
            }
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Unavailable && e.InnerException is HttpRequestException or IOException)
        {
            // It is gone.
        }
    }

    private async Task WriteOneAsync(LockstepClient api, Random random, string name)
    {
        switch (random.Next(8))
        {
            case 0:
                var created = await api.CreateTokenAsync(new TokenCreate { Name = "t" + name, Role = "reader" });
                _tokens[created.Name] = created.Token;
                break;
            case 1 when _tokens.Keys.FirstOrDefault(t => _rolling.TryAdd(t, true)) is { } token:
                // Not known to work, nor to be dead, unless it is answered.
                _tokens.TryRemove(token, out var old);
                _tokens[token] = (await api.RollTokenAsync(token)).Token;
                _rolled.Add(old!);
                break;
            case 2:
                await RefreshAsync(api);
                break;
            default:
                // One secret that all write, one that the config refers to, and many of their own.
                await PutAsync(api, random.Next(4) switch { 0 => "all/shared", 1 => "shop/db", _ => "own/" + name }, "value " + name);
                break;
        }
    }

    private async Task RefreshAsync(LockstepClient api)
    {
        string commit;
        await _committing.WaitAsync();
        try
        {
            commit = await repository.CommitAsync("shop.yml", $"n: {++_commit}\npassword: ${{secret:shop/db}}\n");
        }
        finally
        {
            _committing.Release();
        }
        _refreshes.Add(((await api.RefreshAsync()).Release, commit));
    }

    private async Task PutAsync(LockstepClient api, string id, string value)
    {
        SecretWritten written;
        var put = new SecretPut { Value = JsonSerializer.SerializeToElement(value) };
        try
        {
            written = await api.PutSecretAsync(id, put);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.NotFound)
        {
            try
            {
                written = await api.PutSecretAsync(id, put with { Cas = 0 });
            }
            catch (LockstepException second) when (second.Code == ErrorCode.Conflict || second.Code == ErrorCode.PreconditionFailed)
            {
                written = await api.PutSecretAsync(id, put);
            }
        }
        _secrets.TryAdd((id, written.Version), value).ShouldBeTrue($"version {written.Version} of {id} was given out twice");
        _releases.Add(written.Release!.Value);
    }

    private async Task CheckSecretsAsync(LockstepClient api)
    {
        foreach (var secret in _secrets.GroupBy(s => s.Key.Id))
        {
            var versions = (await api.GetSecretAsync(secret.Key)).Versions.Select(v => v.Version).ToHashSet();
            versions.Order().ShouldBe(Enumerable.Range(1, versions.Count), $"versions of {secret.Key}");
            foreach (var ((id, version), value) in secret)
            {
                versions.ShouldContain(version, id);
                (await api.RevealSecretAsync(id, version)).Value.ShouldBe(value, $"{id}@{version}");
            }
        }
    }

    private async Task CheckTokensAsync(LockstepClient api)
    {
        var names = (await api.ListTokensAsync()).Items.Select(t => t.Name).ToHashSet();
        foreach (var (name, token) in _tokens)
        {
            names.ShouldContain(name);
            using var holder = server.Api(token);
            (await holder.WhoAmIAsync()).Name.ShouldBe(name);
        }
        foreach (var token in _rolled)
        {
            using var holder = server.Api(token);
            (await Should.ThrowAsync<LockstepException>(() => holder.WhoAmIAsync())).Code.ShouldBe(ErrorCode.Unauthenticated);
        }
    }

    private async Task CheckReleasesAsync(LockstepClient api)
    {
        var numbers = new List<ReleaseInfo>();
        for (string? before = null; ;)
        {
            var page = await api.ListReleasesAsync(before, 100);
            numbers.AddRange(page.Items);
            if ((before = page.Next) is null) break;
        }
        numbers.Select(r => r.Release).Reverse().ShouldBe(Enumerable.Range(1, numbers.Count).Select(n => (long)n), "release numbers");
        foreach (var release in _releases) release.ShouldBeLessThanOrEqualTo(numbers[0].Release);
        // A refresh that was answered has its commit, or a later one of the same branch.
        var order = (await repository.GitAsync("rev-list", "--first-parent", "main")).Ok().Split('\n').Reverse().ToList();
        var byNumber = numbers.ToDictionary(r => r.Release);
        foreach (var (release, commit) in _refreshes)
        {
            var stands = numbers.First(r => r.Release <= release && r.Commit is not null).Commit!;
            byNumber.ShouldContainKey(release);
            order.IndexOf(stands).ShouldBeGreaterThanOrEqualTo(order.IndexOf(commit));
        }
    }
}
