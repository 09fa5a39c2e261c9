using Lockstep.Client;
using Lockstep.Secrets;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Secrets;

/// <summary>What every secret store does, whatever is behind it.</summary>
public abstract class SecretStoreConformance : IAsyncLifetime
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    /// <summary>Null where what the store needs is not installed.</summary>
    private protected ISecretStore? Store { get; set; }

    public abstract Task InitializeAsync();

    public abstract Task DisposeAsync();

    /// <summary>Runs what a write left to do in a transaction of its own.</summary>
    private protected abstract Task PersistAsync(PreparedWrite prepared);

    [Fact]
    public async Task A_value_is_read_back_as_it_was_written()
    {
        if (Store is null) return;
        foreach (var text in new[] { "", "p", "ü\0☃ \u202e\r\n", """{"user":"u","password":"\u00e4"}""" })
        {
            var version = await WriteAsync(Id("a/value"), text);
            (await ReadAsync(Id("a/value"), version)).ShouldBe(text);
        }
    }

    [Fact]
    public async Task Versions_count_from_one_and_old_ones_stay()
    {
        if (Store is null) return;
        for (var i = 1; i <= 4; i++) (await WriteAsync(Id("a/count"), $"v{i}")).ShouldBe(i);
        for (var i = 1; i <= 4; i++) (await ReadAsync(Id("a/count"), i)).ShouldBe($"v{i}");
    }

    [Fact]
    public async Task What_does_not_exist_is_not_found()
    {
        if (Store is null) return;
        await WriteAsync(Id("a/one"), "v");
        await RefusedAsync(ErrorCode.NotFound, () => ReadAsync(Id("a/one"), 2));
        await RefusedAsync(ErrorCode.NotFound, () => ReadAsync(Id("a/one"), 0));
        await RefusedAsync(ErrorCode.NotFound, () => ReadAsync(Id("a"), 1));
        (await Store.HeadsAsync([Id("a"), Id("a/one")], s_none)).ShouldBe(new Dictionary<SecretId, int> { [Id("a/one")] = 1 });
    }

    [Fact]
    public async Task Cas_compares_the_newest_version()
    {
        if (Store is not ICheckAndSet) return;
        var id = Id("a/cas");
        (await RefusedAsync(ErrorCode.PreconditionFailed, () => WriteAsync(id, "v", cas: 1))).Message.ShouldContain("at version 0, not 1");
        await WriteAsync(id, "v1", cas: 0);
        (await RefusedAsync(ErrorCode.PreconditionFailed, () => WriteAsync(id, "v", cas: 0))).Message.ShouldContain("at version 1, not 0");
        (await WriteAsync(id, "v2", cas: 1)).ShouldBe(2);
    }

    [Fact]
    public async Task A_value_may_have_64_KiB_of_utf_8_and_no_byte_more()
    {
        if (Store is null) return;
        await WriteAsync(Id("a/big"), new string('x', 65536));
        await WriteAsync(Id("a/big"), new string('ü', 32768));
        await RefusedAsync(ErrorCode.TooLarge, () => WriteAsync(Id("a/big"), new string('x', 65537)));
        await RefusedAsync(ErrorCode.TooLarge, () => WriteAsync(Id("a/big"), new string('ü', 32768) + "x"));
        (await ReadAsync(Id("a/big"), 2)).ShouldBe(new string('ü', 32768));
    }

    [Fact]
    public async Task Half_a_character_is_refused_and_not_repeated()
    {
        if (Store is null) return;
        var refusal = await RefusedAsync(ErrorCode.BadRequest, () => WriteAsync(Id("a/half"), "x\ud8d8"));
        refusal.ToString().ShouldNotContain("\ud8d8");
        refusal.ToString().ShouldNotContain("D8D8");
    }

    [Fact]
    public async Task Deleted_is_gone_until_restored_and_purged_is_gone_for_good()
    {
        if (Store is not ISoftDelete store) return;
        var id = Id("a/gone");
        await WriteAsync(id, "v1");
        await PersistAsync(await store.DeleteAsync(id, s_none));
        await RefusedAsync(ErrorCode.NotFound, () => store.DeleteAsync(id, s_none));
        (await Store.HeadsAsync([id], s_none)).ShouldBeEmpty();
        await PersistAsync(await store.RestoreAsync(id, s_none));
        (await ReadAsync(id, 1)).ShouldBe("v1");
        await RefusedAsync(ErrorCode.Conflict, () => store.RestoreAsync(id, s_none));
        await PersistAsync(await store.PurgeAsync(id, s_none));
        await RefusedAsync(ErrorCode.NotFound, () => ReadAsync(id, 1));
        await RefusedAsync(ErrorCode.NotFound, () => store.RestoreAsync(id, s_none));
        await RefusedAsync(ErrorCode.NotFound, () => store.PurgeAsync(id, s_none));
        (await WriteAsync(id, "v2", cas: 0)).ShouldBe(2);
        await RefusedAsync(ErrorCode.NotFound, () => ReadAsync(id, 1));
        (await ReadAsync(id, 2)).ShouldBe("v2");
    }

    [Fact]
    public async Task Random_operations_agree_with_a_model()
    {
        if (Store is not ISoftDelete store) return;
        var random = new Random(3);
        var model = new Dictionary<SecretId, Modelled>();
        for (var step = 0; step < 400; step++)
        {
            var id = Id($"m/{random.Next(4)}");
            var secret = model.TryGetValue(id, out var known) ? known : model[id] = new();
            switch (random.Next(8))
            {
                case 0 when secret is { Exists: true }:
                    await PersistAsync(await store.DeleteAsync(id, s_none));
                    secret.Deleted = true;
                    break;
                case 1 when secret is { Purged: false, Deleted: true }:
                    await PersistAsync(await store.RestoreAsync(id, s_none));
                    secret.Deleted = false;
                    break;
                case 2 when secret is { Purged: false, Values.Count: > 0 } && random.Next(3) == 0:
                    await PersistAsync(await store.PurgeAsync(id, s_none));
                    secret.Deleted = true;
                    secret.Destroyed = secret.Values.Count;
                    break;
                default:
                    var text = $"value {step}";
                    int? cas = random.Next(2) == 0 ? null : secret.Exists ? secret.Values.Count : 0;
                    (await WriteAsync(id, text, cas)).ShouldBe(secret.Values.Count + 1);
                    secret.Values.Add(text);
                    secret.Deleted = false;
                    break;
            }
            await AgreeAsync(id, secret, random.Next(1, secret.Values.Count + 2));
        }
    }

    private async Task AgreeAsync(SecretId id, Modelled secret, int version)
    {
        var heads = await Store!.HeadsAsync([id], s_none);
        if (secret.Exists) heads[id].ShouldBe(secret.Values.Count);
        else heads.ShouldBeEmpty();
        if (version > secret.Destroyed && version <= secret.Values.Count)
        {
            // Of a deleted id a store may or may not answer.
            if (secret.Exists) (await ReadAsync(id, version)).ShouldBe(secret.Values[version - 1]);
        }
        else await RefusedAsync(ErrorCode.NotFound, () => ReadAsync(id, version));
    }

    private protected static SecretId Id(string text) => SecretId.TryParse(text, out var id) ? id : throw new ArgumentException(text, nameof(text));

    private protected async Task<int> WriteAsync(SecretId id, string text, int? cas = null, bool staged = false)
    {
        var prepared = await Store!.WriteAsync(new SecretWrite(id, new SecretValue(text), "tester", staged), cas, s_none);
        await PersistAsync(prepared);
        return prepared.Version;
    }

    private protected async Task<string> ReadAsync(SecretId id, int version) => (await Store!.ReadAsync(id, version, s_none)).Reveal();

    private protected static async Task<LockstepException> RefusedAsync(ErrorCode code, Func<Task> act)
    {
        var refusal = await Should.ThrowAsync<LockstepException>(act);
        refusal.Code.ShouldBe(code);
        return refusal;
    }

    private sealed class Modelled
    {
        public List<string> Values { get; } = [];

        public bool Deleted { get; set; }

        // Versions up to this one are destroyed.
        public int Destroyed { get; set; }

        public bool Purged => Values.Count == Destroyed;

        public bool Exists => Values.Count > 0 && !Deleted;
    }
}
