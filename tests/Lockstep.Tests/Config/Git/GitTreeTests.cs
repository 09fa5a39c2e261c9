using System.Text;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config.Git;

public sealed class GitTreeTests : IAsyncLifetime
{
    private readonly GitBench _bench = new();
    private readonly TestRepository _upstream = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        await _bench.DisposeAsync();
        _upstream.Dispose();
    }

    [Fact]
    public async Task A_tree_holds_regular_config_files_with_whatever_names_they_have()
    {
        string[] names = ["application.yml", "a/b/c.properties", "with\nnewline.yml", "-rf.json", "--.yml", "ü/日本.yaml", " spaces .yml", "quote\".yml", ".yml", "tab\t.yml"];
        foreach (var name in names)
            _upstream.Write(name, Encoding.UTF8.GetBytes(name));
        _upstream.Write("README.md", []);
        _upstream.Write("app.yml.bak", []);
        _upstream.Write("app.YML", []);
        File.CreateSymbolicLink(Path.Combine(_upstream.Path, "link.yml"), "/etc/passwd");
        File.SetUnixFileMode(Path.Combine(_upstream.Path, "application.yml"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var first = _upstream.CommitAll();
        _upstream.Git("update-index", "--add", "--cacheinfo", $"160000,{first},module.yml");
        _upstream.Git("commit", "--quiet", "--message", "submodule");

        var repository = await _bench.OpenAsync(_upstream.Path);
        var tree = await repository.Reader.ReadTreeAsync(_upstream.Head, default);
        tree.Commit.ShouldBe(_upstream.Head);
        tree.Blobs.Keys.ShouldBe(names, ignoreOrder: true);
        tree.Blobs.KeyComparer.ShouldBe(StringComparer.Ordinal);
        foreach (var (path, id) in tree.Blobs)
        {
            var blob = await repository.Objects.ReadAsync(id, ConfigLimits.FileBytes, default);
            Encoding.UTF8.GetString(blob.Content.Span).ShouldBe(path);
        }
    }

    [Fact]
    public async Task A_name_that_is_not_UTF_8_is_skipped_with_a_warning()
    {
        _upstream.Commit(("good.yml", "a: 1"));
        var blob = _upstream.Git("rev-parse", "HEAD:good.yml");
        byte[] line = [.. Encoding.ASCII.GetBytes($"100644 {blob}\tbad"), 0xFF, 0xFE, .. ".yml\0"u8];
        _upstream.GitWithInput(line, "update-index", "-z", "--index-info");
        _upstream.Git("commit", "--quiet", "--message", "bytes");
        var repository = await _bench.OpenAsync(_upstream.Path);
        (await repository.Reader.ReadTreeAsync(_upstream.Head, default)).Blobs.Keys.ShouldBe(["good.yml"]);
        _bench.Log.ShouldContain(l => l.Contains("1 file(s) of commit", StringComparison.Ordinal));
        var (to, changed) = await repository.Reader.DiffAsync(ConfigTree.Empty with { Commit = _upstream.Git("rev-parse", "HEAD~1") }, _upstream.Head, default);
        changed.ShouldBeEmpty();
        to.Commit.ShouldBe(_upstream.Head);
    }

    [Fact]
    public async Task A_commit_that_is_not_there_or_damaged_is_an_error_that_names_it()
    {
        var repository = await _bench.OpenAsync();
        var missing = new string('1', 40);
        (await Should.ThrowAsync<LockstepException>(() => repository.Reader.ReadTreeAsync(missing, default))).Message.ShouldContain(missing);
        await Should.ThrowAsync<ArgumentException>(() => repository.Reader.ReadTreeAsync("--help", default));
        await Should.ThrowAsync<ArgumentException>(() => repository.Reader.DiffAsync(ConfigTree.Empty, "HEAD", default));
    }

    [Fact]
    public async Task A_repository_that_breaks_at_a_later_commit_still_gives_the_earlier_ones()
    {
        var repository = await _bench.OpenAsync();
        var first = await CommitAsync(repository, null, ("a.yml", "a: 1"));
        var second = await CommitAsync(repository, first, ("sub/a.yml", "a: 2"));
        var tree = TestRepository.Run(repository.Directory, [], "rev-parse", second + ":sub");
        File.Delete(Path.Combine(repository.Directory, "objects", tree[..2], tree[2..]));
        var before = await repository.Reader.ReadTreeAsync(first, default);
        before.Blobs.Count.ShouldBe(1);
        var failure = await Should.ThrowAsync<LockstepException>(() => repository.Reader.DiffAsync(before, second, default));
        failure.Message.ShouldContain(second);
        failure.Message.ShouldContain("fsck");
    }

    [Fact]
    public async Task A_diff_from_a_commit_that_is_gone_or_a_diff_too_big_is_taken_from_the_whole_trees()
    {
        _bench.Limits = _bench.Limits with { DiffBytes = 100 };
        var repository = await _bench.OpenAsync();
        var first = await CommitAsync(repository, null, ("a.yml", "1"), ("b.yml", "1"), ("c.yml", "1"));
        var second = await CommitAsync(repository, first, ("a.yml", "2"), ("b.yml", null), ("d.yml", "1"));
        var whole = await repository.Reader.ReadTreeAsync(first, default);
        foreach (var start in new[] { whole, whole with { Commit = new string('1', 40) }, whole with { Commit = "" } })
        {
            var (to, changed) = await repository.Reader.DiffAsync(start, second, default);
            to.Blobs.Keys.ShouldBe(["a.yml", "c.yml", "d.yml"], ignoreOrder: true);
            changed.ShouldBe(["a.yml", "b.yml", "d.yml"]);
        }
    }

    [Fact]
    public async Task A_file_that_turns_into_a_link_or_directory_is_gone()
    {
        var first = _upstream.Commit(("a.yml", "1"), ("b.yml", "1"), ("c.txt", "1"));
        File.Delete(Path.Combine(_upstream.Path, "a.yml"));
        File.CreateSymbolicLink(Path.Combine(_upstream.Path, "a.yml"), "b.yml");
        File.Delete(Path.Combine(_upstream.Path, "b.yml"));
        var second = _upstream.Commit(("b.yml/inner.yml", "1"));
        var repository = await _bench.OpenAsync(_upstream.Path);
        var (to, changed) = await repository.Reader.DiffAsync(await repository.Reader.ReadTreeAsync(first, default), second, default);
        to.Blobs.Keys.ShouldBe(["b.yml/inner.yml"]);
        changed.ShouldBe(["a.yml", "b.yml", "b.yml/inner.yml"]);
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_diff_equals_the_full_listing_over_random_commits()
    {
        const int Commits = 120;
        var random = new Random(20260101);
        var script = new StringBuilder();
        string[] extensions = ["yml", "json", "txt", "properties", "md"];
        for (var i = 1; i <= Commits; i++)
        {
            script.Append("commit refs/heads/main\nmark :").Append(i).Append("\ncommitter A <a@example.com> ").Append(1000 + i).Append(" +0000\ndata 1\nx\n");
            // Any earlier commit may be the parent, so that diffs run in every direction.
            if (i > 1)
                script.Append("from :").Append(random.Next(1, i)).Append('\n');
            for (var n = random.Next(0, 8); n > 0; n--)
            {
                var path = string.Join('/', Enumerable.Range(0, random.Next(1, 4)).Select(_ => (char)('a' + random.Next(3)) + "." + extensions[random.Next(5)]));
                switch (random.Next(5))
                {
                    case 0:
                        script.Append("D ").Append(path).Append('\n');
                        break;
                    case 1:
                        script.Append("M 120000 inline ").Append(path).Append("\ndata 1\nx\n");
                        break;
                    default:
                        script.Append("M 100644 inline ").Append(path).Append("\ndata 1\n").Append(random.Next(10)).Append('\n');
                        break;
                }
            }

            script.Append('\n');
        }

        _upstream.GitWithInput(Encoding.ASCII.GetBytes(script.ToString()), "fast-import", "--quiet", "--force", "--export-marks=marks");
        var commits = File.ReadAllLines(Path.Combine(_upstream.Path, "marks")).Select(l => l.Split(' ')[1]).ToArray();
        commits.Length.ShouldBe(Commits);
        foreach (var commit in commits)
            _upstream.Git("tag", "t" + commit, commit);

        var repository = await _bench.OpenAsync(_upstream.Path);
        var tree = ConfigTree.Empty;
        var changes = 0;
        foreach (var commit in commits)
        {
            var full = await repository.Reader.ReadTreeAsync(commit, default);
            var (to, changed) = await repository.Reader.DiffAsync(tree, commit, default);
            to.Blobs.OrderBy(b => b.Key, StringComparer.Ordinal).ShouldBe(full.Blobs.OrderBy(b => b.Key, StringComparer.Ordinal));
            changed.ShouldBe(GitTrees.Compare(tree.Blobs, full.Blobs));
            changes += changed.Length;
            tree = to;
        }

        changes.ShouldBeGreaterThan(Commits);
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_hundred_thousand_files_are_listed_and_a_small_change_among_them_found()
    {
        const int Files = 100_000;
        var script = new StringBuilder("blob\nmark :1\ndata 4\na: 1\ncommit refs/heads/main\ncommitter A <a@example.com> 1 +0000\ndata 1\nx\n");
        for (var i = 0; i < Files; i++)
            script.Append("M 100644 :1 team-").Append(i % 100).Append("/service-").Append(i).Append("/application.yml\n");
        script.Append("\ncommit refs/heads/main\ncommitter A <a@example.com> 2 +0000\ndata 1\nx\n")
            .Append("M 100644 inline team-7/service-7/application.yml\ndata 4\na: 2\nD team-8/service-8/application.yml\n\n");
        _upstream.GitWithInput(Encoding.ASCII.GetBytes(script.ToString()), "fast-import", "--quiet");
        var repository = await _bench.OpenAsync(_upstream.Path);
        var from = await repository.Reader.ReadTreeAsync(_upstream.Git("rev-parse", "main~1"), default);
        from.Blobs.Count.ShouldBe(Files);
        var (to, changed) = await repository.Reader.DiffAsync(from, _upstream.Git("rev-parse", "main"), default);
        changed.ShouldBe(["team-7/service-7/application.yml", "team-8/service-8/application.yml"]);
        to.Blobs.Count.ShouldBe(Files - 1);
    }

    private static Task<string> CommitAsync(GitRepository repository, string? parent, params (string Path, string? Text)[] files) =>
        repository.CommitAsync(
            "main", parent, files.ToDictionary(f => f.Path, f => f.Text is null ? null : Encoding.UTF8.GetBytes(f.Text)), "ann", "change", default);
}
