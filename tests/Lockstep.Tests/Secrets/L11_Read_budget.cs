using Lockstep.Client;
using Lockstep.Secrets;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Secrets;

public sealed class L11_Read_budget
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    [Fact]
    public async Task However_many_ask_at_once_the_store_is_read_once()
    {
        var store = new CountingStore { Open = false };
        var reader = Reader(store);
        // All 200 have asked before the store answers the first.
        var asked = await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => Task.Run(() => (Read: reader.ReadAsync(Id("a"), 1, s_none), true))));
        store.Release();
        (await Task.WhenAll(asked.Select(a => a.Read))).ShouldAllBe(v => v.Reveal() == "a v1");
        await reader.ReadAsync(Id("a"), 1, s_none);
        store.Reads.ShouldBe(1);
        await reader.ReadAsync(Id("a"), 2, s_none);
        await reader.ReadAsync(Id("b"), 1, s_none);
        store.Reads.ShouldBe(3);
    }

    [Fact]
    public async Task One_who_gives_up_leaves_the_others_their_answer()
    {
        var store = new CountingStore { Open = false };
        var reader = Reader(store);
        using var impatient = new CancellationTokenSource();
        var first = reader.ReadAsync(Id("a"), 1, impatient.Token);
        var second = reader.ReadAsync(Id("a"), 1, s_none);
        await impatient.CancelAsync();
        await first.ShouldThrowAsync<OperationCanceledException>();
        store.Release();
        (await second).Reveal().ShouldBe("a v1");
        store.Reads.ShouldBe(1);
    }

    [Fact]
    public async Task A_failure_is_told_to_all_who_wait_and_not_kept()
    {
        var store = new CountingStore { Open = false, Failure = new LockstepException(ErrorCode.Unavailable, "down") };
        var reader = Reader(store);
        var reads = Enumerable.Range(0, 20).Select(_ => reader.ReadAsync(Id("a"), 1, s_none)).ToList();
        store.Release();
        foreach (var read in reads) (await read.ShouldThrowAsync<LockstepException>()).Message.ShouldBe("down");
        store.Reads.ShouldBe(1);
        store.Failure = null;
        (await reader.ReadAsync(Id("a"), 1, s_none)).Reveal().ShouldBe("a v1");
        store.Reads.ShouldBe(2);
    }

    [Fact]
    public async Task What_was_forgotten_is_read_again_also_when_it_was_on_its_way()
    {
        var store = new CountingStore();
        var reader = Reader(store);
        await reader.ReadAsync(Id("a"), 1, s_none);
        reader.Forget(Id("a"), 1);
        await reader.ReadAsync(Id("a"), 1, s_none);
        store.Reads.ShouldBe(2);

        store.Open = false;
        var flying = reader.ReadAsync(Id("b"), 1, s_none);
        reader.Forget(Id("b"), 1);
        store.Release();
        await flying;
        await reader.ReadAsync(Id("b"), 1, s_none);
        store.Reads.ShouldBe(4);
    }

    [Fact]
    public async Task Memory_is_bounded_in_count_and_bytes_and_the_least_used_goes_first()
    {
        var store = new CountingStore();
        var reader = Reader(store, maxEntries: 3);
        for (var version = 1; version <= 3; version++) await reader.ReadAsync(Id("a"), version, s_none);
        await reader.ReadAsync(Id("a"), 1, s_none);
        await reader.ReadAsync(Id("a"), 4, s_none);
        store.Reads.ShouldBe(4);
        await reader.ReadAsync(Id("a"), 1, s_none);
        store.Reads.ShouldBe(4);
        await reader.ReadAsync(Id("a"), 2, s_none);
        store.Reads.ShouldBe(5);

        var large = new CountingStore { Length = 10_000 };
        var small = Reader(large, maxBytes: 100_000);
        for (var round = 0; round < 2; round++)
            for (var version = 1; version <= 10; version++) await small.ReadAsync(Id("a"), version, s_none);
        large.Reads.ShouldBe(20);
        await small.ReadAsync(Id("a"), 10, s_none);
        large.Reads.ShouldBe(20);
    }

    [Fact]
    public void The_longest_mount_of_whole_segments_has_the_id()
    {
        ISecretStore root = new CountingStore(), vault = new CountingStore(), deep = new CountingStore();
        var mounts = new SecretMounts(root, new Dictionary<string, ISecretStore>(StringComparer.Ordinal) { ["vault"] = vault, ["vault/deep"] = deep });
        mounts.StoreOf(Id("vault/a")).ShouldBe(vault);
        mounts.StoreOf(Id("vault/deep/a/b")).ShouldBe(deep);
        mounts.StoreOf(Id("vaults/a")).ShouldBe(root);
        mounts.StoreOf(Id("vault")).ShouldBe(root);
        mounts.MountOf(Id("vault/deepest/a")).ShouldBe("vault");
        mounts.MountOf(Id("a")).ShouldBe("embedded");
    }

    private static SecretReader Reader(ISecretStore store, int maxEntries = 1000, long maxBytes = 1 << 20) =>
        new(new SecretMounts(store, new Dictionary<string, ISecretStore>(StringComparer.Ordinal)), TimeProvider.System, maxEntries, maxBytes);

    private static SecretId Id(string text) => SecretId.TryParse(text, out var id) ? id : throw new ArgumentException(text, nameof(text));

    private sealed class CountingStore : ISecretStore
    {
        private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _reads;

        public int Reads => Volatile.Read(ref _reads);

        public bool Open { get; set; } = true;

        public int Length { get; init; }

        public LockstepException? Failure { get; set; }

        public void Release() => _gate.TrySetResult();

        public async Task<SecretValue> ReadAsync(SecretId id, int version, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref _reads);
            if (!Open) await _gate.Task.WaitAsync(cancellationToken);
            if (Failure is not null) throw Failure;
            return new SecretValue($"{id} v{version}".PadRight(Length));
        }

        public Task<IReadOnlyDictionary<SecretId, int>> HeadsAsync(IReadOnlyCollection<SecretId> ids, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<PreparedWrite> WriteAsync(SecretWrite write, int? cas, CancellationToken cancellationToken) => throw new NotSupportedException();
    }
}
