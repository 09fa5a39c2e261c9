using System.Text;
using Lockstep.Client;
using Lockstep.Config.Git;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config.Git;

[Trait("speed", "medium")]
public sealed class GitTreeDiffTests : IAsyncLifetime
{
    private readonly GitBench _bench = new();
    private readonly TestRepository _upstream = new();
    private GitRepository _repository = null!;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        await _bench.DisposeAsync();
        _upstream.Dispose();
    }

    [Fact]
    public async Task It_finds_what_git_finds()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        var commits = new List<string>();
        for (var step = 0; step < 12; step++)
        {
            // A name is a file in one commit and a directory in the next.
            var tree = Enumerable.Range(0, random.Next(1, 40)).Select(_ => string.Join('/', Enumerable.Range(0, random.Next(1, 5)).Select(_ => $"n{random.Next(4)}")))
                .Distinct().ToList();
            tree.RemoveAll(p => tree.Exists(o => o.StartsWith(p + "/", StringComparison.Ordinal)));
            _upstream.Git("rm", "-r", "-q", "--cached", "--ignore-unmatch", ".");
            var blob = _upstream.GitWithInput(Encoding.ASCII.GetBytes($"x: {step % 3}\n"), "hash-object", "-w", "--stdin");
            var lines = tree.Select(p => random.Next(8) switch { 0 => $"120000 {blob}\t{p}\n", 1 => $"100755 {blob}\t{p}\n", _ => $"100644 {blob}\t{p}\n" });
            _upstream.GitWithInput(Encoding.ASCII.GetBytes(string.Concat(lines)), "update-index", "--index-info");
            _upstream.Git("commit", "-q", "--allow-empty", "-m", "x");
            commits.Add(_upstream.Head);
        }
        _repository = await _bench.OpenAsync(_upstream.Path);
        foreach (var (from, to) in commits.SelectMany(a => commits.Select(b => (a, b))))
        {
            var expected = _upstream.Git("diff-tree", "-r", "--no-renames", "--name-status", from, to).Split('\n', StringSplitOptions.RemoveEmptyEntries);
            var found = (await ReadAsync(from, to)).Files
                .Select(f => $"{(f.Old.Kind == GitFileKind.None ? "A" : f.New.Kind == GitFileKind.None ? "D" : f.Old.Kind == f.New.Kind ? "M" : "T")}\t{f.Path}");
            found.ShouldBe(expected, ignoreOrder: true, $"seed {seed}, {from} to {to}");
        }
    }

    [Fact]
    public async Task Names_clash_in_a_directory_only_where_one_was_added()
    {
        var first = Commit("a/old.yml", "a/OLD.yml", "a/b/c.yml", "ü.yml");
        var second = Commit("a/old.yml", "a/OLD.yml", "a/b/c.yml", "a/B/d.yml", "a/b/e.yml", "ü.yml", "Ü.yml");
        _repository = await _bench.OpenAsync(_upstream.Path);
        (await ReadAsync(first, second)).Clashes.Select(c => $"{c.Path} {c.Other}").ShouldBe(["a/b a/B", "ü.yml Ü.yml"], ignoreOrder: true);
        (await ReadAsync(second, first)).Clashes.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_few_objects_that_name_billions_of_paths_are_too_large()
    {
        var bomb = Commit("x.yml");
        var tree = _upstream.Git("rev-parse", bomb + "^{tree}");
        for (var level = 0; level < 10; level++)
            tree = _upstream.GitWithInput(Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, 10).Select(n => $"040000 tree {tree}\td{n}\n"))), "mktree");
        var commit = _upstream.Git("commit-tree", tree, "-m", "bomb");
        _upstream.Git("update-ref", "refs/heads/bomb", commit);
        _repository = await _bench.OpenAsync(_upstream.Path);
        (await Should.ThrowAsync<LockstepException>(() => ReadAsync(bomb, commit))).Message.ShouldContain("more than 200,000 files and directories are changed at once");
    }

    [Fact]
    public async Task What_lies_too_deep_is_too_large_for_a_candidate_and_left_out_of_what_is_fetched()
    {
        var deep = string.Join('/', Enumerable.Repeat("d", GitTreeDiff.MaxSegments - 1));
        var fine = Commit(deep + "/x.yml");
        var commit = Commit(deep + "/x.yml", deep + "/e/y.yml");
        _repository = await _bench.OpenAsync(_upstream.Path);
        (await ReadAsync(null, fine)).Files.Single().Path.ShouldBe(deep + "/x.yml");
        (await Should.ThrowAsync<LockstepException>(() => ReadAsync(fine, commit))).Message.ShouldContain("is too long: at most 4,096 bytes and 64 names");
        var tree = await _repository.Reader.ReadTreeAsync(commit, default);
        tree.Blobs.Keys.ShouldBe([deep + "/x.yml"]);
        (await _repository.Reader.DiffAsync(await _repository.Reader.ReadTreeAsync(fine, default), commit, default)).ChangedPaths.ShouldBeEmpty();
        _bench.Log.ShouldContain($"1 file(s) of commit {commit} are left out because their paths are not UTF-8 or too long");
    }

    private Task<GitChanges> ReadAsync(string? from, string to) => new GitTreeDiff(_repository.Objects).ReadAsync(from, to, default);

    private string Commit(params string[] paths)
    {
        _upstream.Git("rm", "-r", "-q", "--cached", "--ignore-unmatch", ".");
        var blob = _upstream.GitWithInput("x: 1\n"u8.ToArray(), "hash-object", "-w", "--stdin");
        _upstream.GitWithInput(Encoding.UTF8.GetBytes(string.Concat(paths.Select(p => $"100644 {blob}\t{p}\n"))), "update-index", "--index-info");
        _upstream.Git("commit", "-q", "-m", "x");
        return _upstream.Head;
    }
}
