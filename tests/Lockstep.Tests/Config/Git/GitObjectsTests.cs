using System.Diagnostics;
using System.Text;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config.Git;

[Trait("speed", "medium")]
public sealed class GitObjectsTests : IAsyncLifetime
{
    private readonly GitBench _bench = new();
    private GitRepository _repository = null!;

    private GitObjects Objects => _repository.Objects;

    public async Task InitializeAsync() => _repository = await _bench.OpenAsync();

    public async Task DisposeAsync() => await _bench.DisposeAsync();

    [Fact]
    public async Task Content_comes_back_byte_for_byte_also_when_many_are_asked_at_once()
    {
        var random = new Random(3);
        var contents = Enumerable.Range(0, 40).Select(i => Noise(random, i * i * 11)).ToArray();
        var ids = contents.Select(Write).ToArray();
        var asked = Enumerable.Range(0, 2000).Select(_ => random.Next(ids.Length)).ToArray();
        var blobs = await Task.WhenAll(asked.Select(i => Objects.ReadAsync(ids[i], ConfigLimits.FileBytes, default)));
        for (var i = 0; i < asked.Length; i++)
        {
            blobs[i].Status.ShouldBe(GitBlobStatus.Found);
            blobs[i].Size.ShouldBe(contents[asked[i]].Length);
            blobs[i].Content.Span.SequenceEqual(contents[asked[i]]).ShouldBeTrue();
        }
    }

    [Fact]
    public async Task A_blob_over_the_limit_is_answered_with_its_size_and_the_next_is_read()
    {
        var small = Write("small"u8.ToArray());
        var exact = Write(new byte[1000]);
        var big = Write(new byte[10 * 1024 * 1024]);
        var answers = await Task.WhenAll(
            Objects.ReadAsync(big, ConfigLimits.FileBytes, default), Objects.ReadAsync(small, 5, default), Objects.ReadAsync(exact, 999, default),
            Objects.ReadAsync(exact, 1000, default));
        answers.Select(a => a.Status).ShouldBe([GitBlobStatus.TooLarge, GitBlobStatus.Found, GitBlobStatus.TooLarge, GitBlobStatus.Found]);
        answers[0].Size.ShouldBe(10 * 1024 * 1024);
        answers[0].Content.Length.ShouldBe(0);
    }

    [Fact]
    public async Task An_enormous_blob_is_not_read_past_but_the_process_started_afresh()
    {
        await _repository.DisposeAsync();
        _bench.Limits = _bench.Limits with { SkipBytes = 1000 };
        _repository = await _bench.OpenAsync();
        var small = Write("small"u8.ToArray());
        var big = Write(new byte[1_000_000]);
        await Objects.ReadAsync(small, 100, default);
        var before = Objects.ProcessId;
        var answers = await Task.WhenAll(Objects.ReadAsync(big, 100, default), Objects.ReadAsync(small, 100, default), Objects.ReadAsync(big, 100, default), Objects.ReadAsync(small, 100, default));
        answers.Select(a => a.Status).ShouldBe([GitBlobStatus.TooLarge, GitBlobStatus.Found, GitBlobStatus.TooLarge, GitBlobStatus.Found]);
        Objects.ProcessId.ShouldNotBe(before);
    }

    [Fact]
    public async Task What_is_missing_or_no_blob_is_told_apart_from_content()
    {
        var commit = await _repository.CommitAsync("main", null, new Dictionary<string, byte[]?> { ["a.yml"] = [] }, "ann", "x", default);
        (await Objects.ReadAsync(new string('1', 40), 10, default)).Status.ShouldBe(GitBlobStatus.Missing);
        (await Objects.ReadAsync(commit, 10_000, default)).Status.ShouldBe(GitBlobStatus.Missing);
        await Should.ThrowAsync<ArgumentException>(() => Objects.ReadAsync("HEAD", 10, default));
        await Should.ThrowAsync<ArgumentException>(() => Objects.ReadAsync(new string('1', 39) + "\n", 10, default));
    }

    [Fact]
    public async Task A_damaged_object_fails_alone()
    {
        var good = Write("good"u8.ToArray());
        var bad = Write("bad"u8.ToArray());
        var file = Path.Combine(_repository.Directory, "objects", bad[..2], bad[2..]);
        File.SetAttributes(file, FileAttributes.Normal);
        File.WriteAllText(file, "damaged");
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => Objects.ReadAsync(i == 10 ? bad : good, 100, default)));
        answers.Count(a => a.Status == GitBlobStatus.Found).ShouldBe(19);
        answers[10].Status.ShouldNotBe(GitBlobStatus.Found);
    }

    [Fact]
    public async Task A_process_that_is_killed_is_replaced_and_no_answer_is_lost()
    {
        var ids = Enumerable.Range(0, 50).Select(i => Write(Encoding.ASCII.GetBytes($"content {i}"))).ToArray();
        await Objects.ReadAsync(ids[0], 100, default);
        for (var round = 0; round < 3; round++)
        {
            var reads = Enumerable.Range(0, 3000).Select(i => Objects.ReadAsync(ids[i % 50], 100, default)).ToArray();
            var killed = Kill();
            var blobs = await Task.WhenAll(reads);
            for (var i = 0; i < blobs.Length; i++)
                Encoding.ASCII.GetString(blobs[i].Content.Span).ShouldBe($"content {i % 50}");
            Kill();
            (await Objects.ReadAsync(ids[1], 100, default)).Status.ShouldBe(GitBlobStatus.Found);
            Objects.ProcessId.ShouldNotBe(killed);
        }

        int Kill()
        {
            var id = Objects.ProcessId;
            if (id == 0)
                return 0;
            using var process = Process.GetProcessById(id);
            process.Kill();
            process.WaitForExit();
            return id;
        }
    }

    [Fact]
    public async Task A_process_that_hangs_is_replaced()
    {
        await _repository.DisposeAsync();
        _bench.Limits = _bench.Limits with { Object = TimeSpan.FromMilliseconds(300) };
        _repository = await _bench.OpenAsync();
        var id = Write("content"u8.ToArray());
        await Objects.ReadAsync(id, 100, default);
        var hung = Objects.ProcessId;
        using (var stop = Process.Start("kill", ["-STOP", hung.ToString()]))
            await stop.WaitForExitAsync();
        (await Objects.ReadAsync(id, 100, default)).Status.ShouldBe(GitBlobStatus.Found);
        Objects.ProcessId.ShouldNotBe(hung);
    }

    [Fact]
    public async Task A_reader_who_gives_up_does_not_disturb_the_others()
    {
        var id = Write("content"u8.ToArray());
        using var gone = new CancellationTokenSource();
        var given = Enumerable.Range(0, 100).Select(_ => Objects.ReadAsync(id, 100, gone.Token)).ToArray();
        var kept = Enumerable.Range(0, 100).Select(_ => Objects.ReadAsync(id, 100, default)).ToArray();
        await gone.CancelAsync();
        foreach (var blob in await Task.WhenAll(kept))
            blob.Status.ShouldBe(GitBlobStatus.Found);
        await Task.WhenAll(given.Select(t => t.ContinueWith(_ => { }, TaskScheduler.Default)));
        (await Objects.ReadAsync(id, 100, default)).Status.ShouldBe(GitBlobStatus.Found);
    }

    [Fact]
    public async Task Objects_that_arrive_later_are_found_by_the_running_process()
    {
        await Objects.ReadAsync(new string('1', 40), 10, default);
        var before = Objects.ProcessId;
        var id = Write("later"u8.ToArray());
        (await Objects.ReadAsync(id, 10, default)).Status.ShouldBe(GitBlobStatus.Found);
        TestRepository.Run(_repository.Directory, [], "update-ref", "refs/tags/t", id);
        TestRepository.Run(_repository.Directory, [], "repack", "-a", "-d", "-q");
        TestRepository.Run(_repository.Directory, [], "prune-packed");
        (await Objects.ReadAsync(id, 10, default)).Status.ShouldBe(GitBlobStatus.Found);
        Objects.ProcessId.ShouldBe(before);
    }

    [Fact]
    public async Task The_process_ends_with_the_repository()
    {
        await Objects.ReadAsync(Write([]), 10, default);
        var id = Objects.ProcessId;
        await _repository.DisposeAsync();
        Should.Throw<ArgumentException>(() => Process.GetProcessById(id));
        await Should.ThrowAsync<ObjectDisposedException>(() => Objects.ReadAsync(new string('1', 40), 10, default));
    }

    private string Write(byte[] content) => TestRepository.Run(_repository.Directory, content, "hash-object", "-w", "--stdin");

    private static byte[] Noise(Random random, int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }
}
