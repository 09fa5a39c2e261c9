using System.Text;
using Lockstep.Client;
using Lockstep.Config.Git;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config.Git;

public sealed class GitCommitTests : IAsyncLifetime
{
    private readonly GitBench _bench = new();
    private GitRepository _repository = null!;

    public async Task InitializeAsync() => _repository = await _bench.OpenAsync();

    public async Task DisposeAsync() => await _bench.DisposeAsync();

    [Fact]
    public async Task One_commit_adds_changes_and_removes_files()
    {
        var first = await CommitAsync(null, ("a.yml", "a: 1"), ("dir/b.yml", "b: 1"), ("README.md", "hello"));
        var second = await CommitAsync(first, ("a.yml", "a: 2"), ("dir/b.yml", null), ("-x/ü.yml", "c: 1"));
        var tree = await _repository.Reader.ReadTreeAsync(second, default);
        tree.Blobs.Keys.ShouldBe(["a.yml", "-x/ü.yml"], ignoreOrder: true);
        Encoding.UTF8.GetString((await _repository.Objects.ReadAsync(tree.Blobs["a.yml"], 100, default)).Content.Span).ShouldBe("a: 2");
        (await _repository.RefsAsync(default)).ShouldBe([new("refs/heads/main", second)]);
        Git("rev-parse", second + "^").ShouldBe(first);
        Git("fsck", "--strict").ShouldNotContain("error");
        Directory.GetFiles(_repository.Directory, "lockstep-index-*").ShouldBeEmpty();
    }

    [Fact]
    public async Task A_branch_that_moved_meanwhile_is_a_conflict_and_stays()
    {
        var first = await CommitAsync(null, ("a.yml", "a: 1"));
        var second = await CommitAsync(first, ("a.yml", "a: 2"));
        var conflict = await Should.ThrowAsync<LockstepException>(() => CommitAsync(first, ("a.yml", "a: 3")));
        conflict.Code.ShouldBe(ErrorCode.Conflict);
        conflict.Message.ShouldContain(second);
        (await Should.ThrowAsync<LockstepException>(() => CommitAsync(null, ("a.yml", "a: 3")))).Code.ShouldBe(ErrorCode.Conflict);
        (await _repository.RefsAsync(default))["refs/heads/main"].ShouldBe(second);
    }

    [Fact]
    public async Task Of_writers_that_saw_the_same_commit_one_wins()
    {
        var first = await CommitAsync(null, ("a.yml", "a: 1"));
        var attempts = await Task.WhenAll(Enumerable.Range(0, 5).Select(async i =>
        {
            try
            {
                return await CommitAsync(first, ("a.yml", $"b: {i}"));
            }
            catch (LockstepException e) when (e.Code == ErrorCode.Conflict)
            {
                return null;
            }
        }));
        var winner = attempts.Where(a => a is not null).ShouldHaveSingleItem();
        (await _repository.RefsAsync(default))["refs/heads/main"].ShouldBe(winner);
    }

    [Fact]
    public async Task Equal_content_makes_no_commit()
    {
        var first = await CommitAsync(null, ("a.yml", "a: 1"));
        (await CommitAsync(first, ("a.yml", "a: 1"), ("not-there.yml", null))).ShouldBe(first);
    }

    [Theory]
    [InlineData("teams", "'teams' is a directory")]
    [InlineData("application.yml/x.yml", "'application.yml' is a file")]
    [InlineData("application.yml/x/y.yml", "'application.yml' is a file")]
    [InlineData("link.yml", "'link.yml' is a symbolic link")]
    [InlineData("link.yml/x.yml", "'link.yml' is a symbolic link")]
    [InlineData("sub", "'sub' is a submodule")]
    [InlineData("sub/x.yml", "'sub' is a submodule")]
    public async Task A_file_takes_the_place_of_nothing_but_a_file(string path, string reason)
    {
        var first = await CommitAsync(null, ("application.yml", "a: 1"), ("teams/a/x.yml", "b: 1"), ("teams/b.yml", "b: 1"));
        var blob = TestRepository.Run(_repository.Directory, "application.yml"u8.ToArray(), "hash-object", "-w", "--stdin");
        var tree = TestRepository.Run(
            _repository.Directory, Encoding.UTF8.GetBytes($"{Git("ls-tree", first)}\n120000 blob {blob}\tlink.yml\n160000 commit {first}\tsub\n"), "mktree");
        var parent = Git("-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", tree, "-p", first, "-m", "odd");
        Git("update-ref", "refs/heads/main", parent);
        var refused = await Should.ThrowAsync<LockstepException>(() => CommitAsync(parent, ("fine.yml", "x: 1"), (path, "x: 1")));
        refused.Code.ShouldBe(ErrorCode.Conflict);
        refused.Message.ShouldContain(reason);
        (await _repository.RefsAsync(default))["refs/heads/main"].ShouldBe(parent);
        // What goes in the same commit is in nobody's way.
        await CommitAsync(parent, ("application.yml", null), ("application.yml/x.yml", "x: 1"), ("teams/b.yml", "b: 2"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("/a.yml")]
    [InlineData("a//b.yml")]
    [InlineData("../a.yml")]
    [InlineData("a/./b.yml")]
    [InlineData(".git/config")]
    [InlineData("a/.GIT/hooks/x")]
    [InlineData("a\nb.yml")]
    [InlineData("a\0b.yml")]
    [InlineData("a/")]
    public async Task A_path_that_leads_elsewhere_is_refused(string path) =>
        (await Should.ThrowAsync<LockstepException>(() => CommitAsync(null, (path, "x")))).Code.ShouldBe(ErrorCode.BadRequest);

    [Fact]
    public async Task Author_and_message_are_data_whatever_they_hold()
    {
        var commit = await _repository.CommitAsync(
            "main", null, new Dictionary<string, byte[]?> { ["a.yml"] = [] }, "Evil <x@y> 0 +0000\ncommitter me", "-m --amend\0\n\nbody", default);
        var info = (await _repository.DescribeAsync(commit, default))!;
        info.Author.ShouldBe("Evil x@y 0 +0000 committer me");
        info.Subject.ShouldBe("-m --amend");
        (TimeProvider.System.GetUtcNow() - info.At).ShouldBeLessThan(TimeSpan.FromMinutes(1));
        Git("log", "-1", "--format=%cn").ShouldBe("Lockstep");
    }

    [Fact]
    public async Task A_mirror_is_not_written()
    {
        using var upstream = new TestRepository();
        var commit = upstream.Commit(("a.yml", "a: 1"));
        var mirror = await _bench.OpenAsync(upstream.Path);
        var refused = await Should.ThrowAsync<LockstepException>(
            () => mirror.CommitAsync("main", commit, new Dictionary<string, byte[]?> { ["a.yml"] = [] }, "ann", "x", default));
        refused.Message.ShouldContain("config.url is set");
    }

    private string Git(params string[] arguments) => TestRepository.Run(_repository.Directory, [], arguments);

    private Task<string> CommitAsync(string? parent, params (string Path, string? Text)[] files) =>
        _repository.CommitAsync(
            "main", parent, files.ToDictionary(f => f.Path, f => f.Text is null ? null : Encoding.UTF8.GetBytes(f.Text)), "ann", "change", default);
}
