using Lockstep.Client;
using Lockstep.Config.Git;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config.Git;

public sealed class GitFetchTests : IAsyncLifetime
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
    public async Task Branches_and_tags_follow_the_remote_when_moved_forced_and_deleted()
    {
        var first = _upstream.Commit(("application.yml", "a: 1"));
        _upstream.Tag("light");
        _upstream.Tag("heavy", annotated: true);
        _upstream.Branch("feature");
        var second = _upstream.Commit(("application.yml", "a: 2"));
        var repository = await _bench.OpenAsync(_upstream.Path);
        (await RefsAsync(repository)).ShouldBe([("heads/feature", second), ("heads/main", first), ("tags/heavy", first), ("tags/light", first)]);

        _upstream.Tag("light");
        _upstream.Tag("heavy", annotated: true);
        _upstream.ForceTo(first);
        var third = _upstream.Commit(("application.yml", "a: 3"));
        (await RefsAsync(repository)).ShouldBe([("heads/feature", third), ("heads/main", first), ("tags/heavy", second), ("tags/light", second)]);

        _upstream.Checkout("main");
        _upstream.DeleteBranch("feature");
        _upstream.DeleteTag("heavy");
        (await RefsAsync(repository)).ShouldBe([("heads/main", first), ("tags/light", second)]);
    }

    [Fact]
    public async Task A_branch_may_become_the_directory_of_another_and_back()
    {
        var commit = _upstream.Commit(("application.yml", "a: 1"));
        _upstream.Git("branch", "release");
        var repository = await _bench.OpenAsync(_upstream.Path);
        _upstream.DeleteBranch("release");
        _upstream.Git("branch", "release/1");
        (await RefsAsync(repository)).ShouldBe([("heads/main", commit), ("heads/release/1", commit)]);
        _upstream.DeleteBranch("release/1");
        _upstream.Git("branch", "release");
        (await RefsAsync(repository)).ShouldBe([("heads/main", commit), ("heads/release", commit)]);
    }

    [Fact]
    public async Task Kept_commits_survive_a_force_push_and_packing()
    {
        var first = _upstream.Commit(("application.yml", "a: 1"));
        var lost = _upstream.Commit(("application.yml", "a: 2"));
        var repository = await _bench.OpenAsync(_upstream.Path);
        await repository.KeepAsync([first, lost, lost], default);
        await repository.KeepAsync([lost], default);
        _upstream.ForceTo(first);
        (await RefsAsync(repository)).ShouldBe([("heads/main", first)]);
        TestRepository.Run(repository.Directory, [], "reflog", "expire", "--expire=now", "--all");
        TestRepository.Run(repository.Directory, [], "gc", "--quiet", "--prune=now");
        await repository.MaintainAsync(default);
        (await repository.DescribeAsync(lost, default))!.Subject.ShouldBe("change");
        (await repository.Reader.ResolveCommitAsync(lost[..9], default)).ShouldBe(lost);
        TestRepository.Run(repository.Directory, [], "for-each-ref", "--format=%(refname)", "refs/lockstep").Split('\n')
            .ShouldBe([$"refs/lockstep/keep/{first}", $"refs/lockstep/keep/{lost}"], ignoreOrder: true);
    }

    [Fact]
    public async Task A_commit_that_is_not_there_cannot_be_kept()
    {
        _upstream.Commit(("application.yml", "a: 1"));
        var repository = await _bench.OpenAsync(_upstream.Path);
        (await Should.ThrowAsync<LockstepException>(() => repository.KeepAsync([new string('1', 40)], default))).Code.ShouldBe(ErrorCode.Unavailable);
    }

    [Fact]
    public async Task Refs_that_name_no_commit_are_left_out()
    {
        var commit = _upstream.Commit(("application.yml", "a: 1"));
        _upstream.Git("tag", "blob", _upstream.Git("rev-parse", "HEAD:application.yml"));
        _upstream.Git("tag", "tree", _upstream.Git("rev-parse", "HEAD^{tree}"));
        var repository = await _bench.OpenAsync(_upstream.Path);
        (await RefsAsync(repository)).ShouldBe([("heads/main", commit)]);
        _bench.Log.ShouldContain(line => line.Contains("name no commit", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_branch_whose_commit_is_missing_does_not_hide_the_others()
    {
        var repository = await _bench.OpenAsync();
        var commit = await repository.CommitAsync("main", null, new Dictionary<string, byte[]?> { ["a.yml"] = [] }, "ann", "x", default);
        File.WriteAllText(Path.Combine(repository.Directory, "refs", "heads", "broken"), new string('1', 40) + "\n");
        (await RefsAsync(repository)).ShouldBe([("heads/main", commit)]);
    }

    [Fact]
    public async Task More_refs_than_the_limit_are_cut_but_never_the_tracked_branch()
    {
        var commit = _upstream.Commit(("application.yml", "a: 1"));
        for (var i = 0; i < 5; i++)
            _upstream.Git("branch", $"a{i}");
        _bench.Limits = _bench.Limits with { Refs = 3 };
        var repository = await _bench.OpenAsync(_upstream.Path);
        (await RefsAsync(repository)).ShouldBe([("heads/a0", commit), ("heads/a1", commit), ("heads/main", commit)]);
        _bench.Log.ShouldContain("3 of 6 branches and tags are left out: 3 are served");
    }

    [Fact]
    public async Task No_hook_of_the_mirror_runs()
    {
        _upstream.Commit(("application.yml", "a: 1"));
        var repository = await _bench.OpenAsync(_upstream.Path);
        var proof = Path.Combine(_bench.Data, "hook-ran");
        var hooks = Directory.CreateDirectory(Path.Combine(repository.Directory, "hooks"));
        foreach (var name in new[] { "reference-transaction", "post-update", "update", "pre-auto-gc" })
        {
            var hook = Path.Combine(hooks.FullName, name);
            File.WriteAllText(hook, $"#!/bin/sh\ntouch '{proof}'\n");
            File.SetUnixFileMode(hook, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }

        _upstream.Commit(("application.yml", "a: 2"));
        await repository.FetchAsync(default);
        File.Exists(proof).ShouldBeFalse();
        TestRepository.Run(repository.Directory, [], "update-ref", "refs/heads/other", _upstream.Head);
        File.Exists(proof).ShouldBeTrue("the hook would have run without our settings");
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_fetch_that_grows_beyond_its_limit_is_ended_and_leaves_nothing_behind()
    {
        var first = _upstream.Commit(("application.yml", "a: 1"));
        var repository = await _bench.OpenAsync(_upstream.Path);
        var before = GitStore.ObjectBytes(repository.Directory);
        await repository.DisposeAsync();
        _bench.Limits = _bench.Limits with { FetchBytes = 1024 * 1024 };
        var noise = new byte[48 * 1024 * 1024];
        new Random(7).NextBytes(noise);
        _upstream.Git("config", "core.compression", "0");
        _upstream.Commit("big.json", noise);

        var again = await _bench.OpenAsync(_upstream.Path);
        again.OpenFailure!.Message.ShouldContain("it would grow the mirror by more than 1 MiB");
        GitStore.ObjectBytes(again.Directory).ShouldBeLessThan(before + 10_000, "small whole objects may stay, halves not");
        (await again.RefsAsync(default))["refs/heads/main"].ShouldBe(first);
    }

    [Fact]
    public async Task Describe_tells_author_time_and_subject_in_bounds()
    {
        _upstream.Write("a.yml", "a: 1"u8.ToArray());
        _upstream.Git("add", "--all");
        _upstream.Git("-c", "user.name=x", "commit", "--quiet", "--author", "Zoë <z@example.com>", "--date", "@86400 +0200", "--message", new string('m', 500) + "\n\nbody");
        var repository = await _bench.OpenAsync(_upstream.Path);
        var info = (await repository.DescribeAsync(_upstream.Head, default))!;
        info.Author.ShouldBe("Zoë");
        info.At.ShouldBe(DateTimeOffset.UnixEpoch.AddDays(1));
        info.Subject.Length.ShouldBe(201);
        (await repository.DescribeAsync(new string('1', 40), default)).ShouldBeNull();
    }

    [Theory]
    [InlineData("")]
    [InlineData("author <>")]
    [InlineData("author")]
    [InlineData("author X <m> 99999999999999999999 +0000\n\n")]
    [InlineData("author X 5\n\n\u0007\u0000subject")]
    public void A_strange_commit_is_described_all_the_same(string text) => GitNames.ParseCommit(text).Subject.ShouldNotContain('\u0007');

    [Fact]
    public async Task Labels_are_resolved_to_commits_only()
    {
        var commit = _upstream.Commit(("application.yml", "a: 1"));
        _upstream.Tag("heavy", annotated: true);
        var name = commit[..8] + (commit[8] == '0' ? "1" : "0");
        _upstream.Git("branch", name); // It looks like an id.
        var repository = await _bench.OpenAsync(_upstream.Path);
        (await repository.Reader.ResolveCommitAsync(commit, default)).ShouldBe(commit);
        (await repository.Reader.ResolveCommitAsync(commit.ToUpperInvariant(), default)).ShouldBe(commit);
        (await repository.Reader.ResolveCommitAsync(commit[..7], default)).ShouldBe(commit);
        foreach (var label in new[]
                 {
                     commit[..6], new string('1', 40), commit + "0", "main", "HEAD", "--all", "main\nHEAD", "@{-1}", name,
                     _upstream.Git("rev-parse", "heavy"), _upstream.Git("rev-parse", "HEAD^{tree}"), _upstream.Git("rev-parse", "HEAD:application.yml"),
                 })
        {
            (await repository.Reader.ResolveCommitAsync(label, default)).ShouldBeNull(label);
        }
    }

    private static async Task<(string, string)[]> RefsAsync(GitRepository repository)
    {
        await repository.FetchAsync(default);
        var refs = await repository.RefsAsync(default);
        return [.. refs.OrderBy(r => r.Key, StringComparer.Ordinal).Select(r => (r.Key["refs/".Length..], r.Value))];
    }
}
