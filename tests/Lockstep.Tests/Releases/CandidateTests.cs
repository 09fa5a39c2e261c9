using System.Text;
using Lockstep.Config.Git;
using Lockstep.Releases;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Releases;

/// <summary>What a change would come to, before anybody makes it.</summary>
[Trait("speed", "medium")]
public sealed class CandidateTests
{
    [Fact]
    public async Task A_candidate_tells_what_changes_breaks_and_turns_into_text_and_changes_nothing()
    {
        using var repository = TestRepository.With(
            ("application.yml", "shared: 1\n"), ("a.yml", "port: 80\nlive: true\nname: x\n"), ("b.yml", "x: 1\n"), ("c.yml", "s: ${secret:one}\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("one", """{"n":1}""")).Ok();
        foreach (var service in new[] { "a", "b", "c" }) (await server.Admin.ConfigAsync(service + "/dev")).Ok();
        var (release, refs) = (server.Release, await server.Server.Repository.RefsAsync(default));

        var report = await EvaluateAsync(server, new()
        {
            ["a.yml"] = "port: '80'\nlive: \"true\"\nname: ${nothing}\nadded: ${secret:two#f:}\n",
            ["b.yml"] = "x: ${secret:two}\n",
            ["c.yml"] = null,
            ["unused.yml"] = "fine: 1\nbroken: [\n",
            ["README.md"] = "text",
        });

        report.Documents.Select(d => (d.Key.ToString(), d.Changes, d.Breaks)).ShouldBe([("a/dev", true, true), ("b/dev", true, true), ("c/dev", true, false)]);
        var b = report.Documents[1].Errors.ShouldHaveSingleItem();
        (b.Location!.Value.ToString(), b.Key).ShouldBe(("b.yml:1", "x"));
        b.Message.ShouldContain("'two' does not exist");
        report.Documents[2].Keys.ShouldBe(["s"]);
        report.Errors.ShouldHaveSingleItem().Location!.Value.File.ShouldBe("unused.yml");
        report.IsSound.ShouldBeFalse();
        report.AddedSecrets.Select(s => s.Value).ShouldBe(["two"]);
        report.Paths.Order(StringComparer.Ordinal).ShouldBe(["README.md", "a.yml", "b.yml", "c.yml", "unused.yml"]);

        report = await EvaluateAsync(server, new() { ["a.yml"] = "port: '80'\nlive: \"true\"\nname: ${nothing}\n" });
        report.IsSound.ShouldBeTrue();
        var a = report.Documents.ShouldHaveSingleItem();
        a.Keys.ShouldBe(["live", "name", "port"]);
        a.Warnings.Select(w => (w.Key, w.Location!.Value.Line)).ShouldBe([("name", 3), ("live", 2), ("port", 1)]);
        a.Warnings[2].Message.ShouldContain("number 80");

        server.Release.ShouldBe(release);
        (await server.Server.Repository.RefsAsync(default)).ShouldBe(refs);
        Directory.GetDirectories(server.Server.Repository.Directory, "lockstep-objects-*").ShouldBeEmpty();
    }

    [Fact]
    public async Task A_candidate_that_changes_comments_and_order_changes_no_document()
    {
        using var repository = TestRepository.With(("a.yml", "x: 1\ny: 2\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        (await EvaluateAsync(server, new() { ["a.yml"] = "# why\ny: 2\nx: 1\n" })).Documents.ShouldBeEmpty();
        // A file that is added can change a document too.
        (await EvaluateAsync(server, new() { ["application-dev.yml"] = "z: 1\n" })).Documents.ShouldHaveSingleItem().Keys.ShouldBe(["z"]);
    }

    [Fact]
    public async Task A_reference_that_is_added_to_any_text_is_told_in_whatever_charset_it_may_be_read()
    {
        using var repository = TestRepository.With(("old.txt", "${secret:old}"), ("a.yml", "x: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        var report = await EvaluateAsync(server, new()
        {
            ["old.txt"] = "${secret:old} ${x:${ secret:plain#f }}",
            ["a.yml"] = "# ${secret:comment}\nx: 1\n",
            ["open.txt"] = "${secret:never ",
            ["little.txt"] = string.Concat("${secret:little}".Select(c => $"{c}\0")),
            ["big.txt"] = string.Concat("${secret:big}".Select(c => $"\0{c}")),
        });
        report.AddedSecrets.Select(s => s.Value).ShouldBe(["big", "comment", "little", "plain"]);
    }

    private static async Task<CandidateReport> EvaluateAsync(TestServer server, Dictionary<string, string?> files)
    {
        var main = GitNames.BranchRef("main");
        await using var scratch = server.Server.Repository.Scratch();
        var contents = files.ToDictionary(f => f.Key, f => f.Value is null ? null : Encoding.UTF8.GetBytes(f.Value), StringComparer.Ordinal);
        var commit = await scratch.CommitAsync(server.Gate.Lane.Live.Release.Refs[main], contents, "ann", "try", default);
        return await server.Gate.Candidates.EvaluateAsync(scratch.Reader, state => state with { Refs = state.Refs.SetItem(main, commit) }, [], _ => true, default);
    }
}
