using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Lockstep.Access;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Gate;

/// <summary>What a holder of a narrow or stolen token, or a committer with bad intentions, tries.</summary>
[Trait("speed", "medium")]
public sealed class HostileCallerTests
{
    [Fact]
    public async Task L9_A_request_that_began_before_the_token_was_revoked_writes_nothing()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        var thief = await server.AsAsync("admin");
        const string Body = """{"name":"minted","role":"admin"}""";
        using var slow = await ConnectAsync(server);
        await SendAsync(slow, $"POST /v1/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {thief.Token}\r\nContent-Type: application/json\r\nContent-Length: {Body.Length}\r\n\r\n{Body[..5]}");
        // Requests that came later are answered: the first is in the server's hands by now.
        for (var i = 0; i < 20; i++) (await thief.GetAsync("/v1/whoami")).Ok();
        (await server.Admin.DeleteAsync("/v1/tokens/" + thief.Name)).Ok();
        await SendAsync(slow, Body[5..]);
        (await ReadStatusAsync(slow)).ShouldBe(401);
        (await server.Admin.GetAsync("/v1/tokens")).Ok().Text.ShouldNotContain("minted");
        (await server.QueryAsync("SELECT entry FROM audit WHERE action = 'token.create'")).ShouldNotContain(e => e.Contains("minted", StringComparison.Ordinal));
    }

    [Fact]
    public async Task L9_What_waits_for_the_record_is_not_disclosed_to_a_token_that_dies_meanwhile()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("one", "v1")).Ok();
        var reader = await server.AsAsync("reader");
        (await reader.ConfigAsync("secretive/dev")).Ok().Value("s").ShouldBe("v1");
        var record = server.Gate.Tokens.Find(reader.Name)!;
        using var hold = new ManualResetEventSlim();
        using var held = new ManualResetEventSlim();
        // The writer is busy, so that the entry of the read waits.
        var busy = server.Database.WriteAsync(_ => { held.Set(); hold.Wait(); return true; }, CancellationToken.None);
        held.Wait();
        var read = reader.ConfigAsync("secretive/dev");
        for (var i = 0; i < 20; i++) (await server.Admin.GetAsync("/v1/whoami")).Ok();
        read.IsCompleted.ShouldBeFalse();
        // What a revocation does when it is committed, at the worst moment there is.
        server.Gate.Tokens.Apply(new TokenChange(record with { RevokedAt = record.CreatedAt }, null, null, long.MaxValue));
        hold.Set();
        await busy;
        var answer = (await read).ShouldBe(401, "unauthenticated");
        answer.Text.ShouldNotContain("v1");
        // It was on its way: the record has it, though it did not leave.
        (await server.QueryAsync("SELECT entry FROM audit WHERE action = 'config.read'")).Count.ShouldBe(2);
    }

    [Fact]
    public async Task A_value_that_only_looks_like_json_is_text_and_holds_nobody_up()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.Admin.ConfigAsync("plain/dev")).Ok();
        (await server.Admin.ConfigAsync("victim/dev")).Ok();
        (await server.PutAsync("odd", """{"a":"\ud800"}""")).Ok();
        repository.Commit(("victim.yml", "p: ${secret:odd#a}\n"), ("plain.yml", "x: 2\n"));
        (await server.RefreshAsync()).ShouldBe(["plain/dev", "victim/dev"]);
        (await server.Admin.ConfigAsync("plain/dev")).Ok().Value("x").ShouldBe("2");
        (await server.Admin.ConfigAsync("victim/dev")).Ok().Header("Lockstep-Stale").ShouldNotBeNull();
        await server.RestartAsync();
        (await server.Admin.ConfigAsync("plain/dev")).Ok();
    }

    [Fact]
    public async Task A_destroyed_value_is_not_served_from_a_stale_document()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("one", "destroyed-value")).Ok();
        (await server.Admin.ConfigAsync("secretive/dev")).Ok().Value("s").ShouldBe("destroyed-value");
        repository.Commit(("secretive.yml", "s: [\n"));
        await server.RefreshAsync();
        (await server.Admin.ConfigAsync("secretive/dev")).Ok().Value("s").ShouldBe("destroyed-value");
        (await server.Admin.DeleteAsync("/v1/secrets/one?purge=true")).Ok();
        var answer = await server.Admin.ConfigAsync("secretive/dev");
        answer.ShouldBe(422);
        answer.Text.ShouldNotContain("destroyed-value");
    }

    [Fact]
    public async Task A_list_names_no_secret_that_the_token_may_not_know_not_even_in_its_cursor()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        foreach (var id in new[] { "aa/hidden", "bb/hidden", "mine/1", "mine/2", "zz/hidden" }) (await server.PutAsync(id, "v")).Ok();
        var narrow = await server.AsAsync("writer", t => t with { Secrets = ["mine/**"] });
        var seen = new List<string>();
        for (var after = ""; ;)
        {
            var page = (await narrow.GetAsync($"/v1/secrets?limit=1{(after.Length == 0 ? "" : "&after=" + Uri.EscapeDataString(after))}")).Ok();
            page.Text.ShouldNotContain("hidden");
            seen.AddRange(page.Json.GetProperty("items").EnumerateArray().Select(i => i.GetProperty("id").GetString()!));
            if (page.Json.GetProperty("next").GetString() is not { } next) break;
            after = next;
        }
        seen.ShouldBe(["mine/1", "mine/2"]);
        (await narrow.GetAsync("/v1/secrets?after=~forged")).ShouldBe(400);
    }

    [Fact]
    public async Task A_writer_is_not_told_of_documents_of_others_that_change_or_would_break()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("one", """{"f":"v"}""")).Ok();
        (await server.Admin.ConfigAsync("secretive/dev")).Ok();
        (await server.Admin.ConfigAsync("plain/dev")).Ok();
        var narrow = await server.AsAsync("writer", t => t with { Services = ["plain"] });
        repository.Commit(("application.yml", "shared: 2\n"));
        var refreshed = (await narrow.PostAsync("/v1/refresh")).Ok();
        refreshed.Text.ShouldContain("plain");
        refreshed.Text.ShouldNotContain("secretive");
        var refused = (await narrow.DeleteAsync("/v1/secrets/one")).ShouldBe(409, "conflict");
        refused.Text.ShouldNotContain("secretive");
        refused.Detail.ShouldContain("1 other document");
        (await server.Admin.DeleteAsync("/v1/secrets/one")).ShouldBe(409).Text.ShouldContain("secretive");
    }

    [Fact]
    public async Task Who_is_limited_sees_neither_the_whole_record_nor_tokens_beyond_its_own_reach()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        var narrow = await server.AsAsync("admin", t => t with { Services = ["plain"], Secrets = ["plain/**"] });
        (await narrow.GetAsync("/v1/audit")).ShouldBe(403);
        (await narrow.GetAsync("/v1/audit/verify")).ShouldBe(403);
        var tokens = (await narrow.GetAsync("/v1/tokens")).Ok().Text;
        tokens.ShouldContain(narrow.Name);
        tokens.ShouldNotContain(server.Admin.Name);
    }

    [Fact]
    public async Task Labels_that_are_commits_are_read_and_not_remembered()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        var commit = (await server.Admin.ConfigAsync("plain/dev")).Ok().Json.GetProperty("commit").GetString()!;
        var before = server.Gate.Lane.Live.Documents.Count;
        foreach (var label in new[] { commit, commit[..7], commit[..12], commit[..9].ToUpperInvariant() })
            (await server.Admin.ConfigAsync("plain/dev", "?label=" + label)).Ok().Json.GetProperty("commit").GetString().ShouldBe(commit);
        server.Gate.Lane.Live.Documents.Count.ShouldBe(before);
        (await server.Admin.ConfigAsync("nosuch/dev", "?label=" + commit)).ShouldBe(404);
    }

    [Fact]
    public async Task Listed_documents_stay_known_however_many_others_are_asked_for()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository, o => o with { Known = [new KnownDocument("plain", "listed")] });
        // Three of them are beyond the bound on bytes.
        repository.Commit(("big.yml", string.Concat(Enumerable.Range(0, 20).Select(i => $"k{i.ToString(CultureInfo.InvariantCulture)}: {new string('x', 190_000)}\n"))));
        await server.RefreshAsync();
        for (var i = 0; i < 75; i++) (await server.Admin.ConfigAsync($"big/e{i.ToString(CultureInfo.InvariantCulture)}")).Ok();
        var known = server.Gate.Lane.Live.Documents;
        known.Values.Sum(d => (long)(d.Current?.Full.Body.Length ?? 0)).ShouldBeLessThanOrEqualTo(Lockstep.Releases.KnownDocuments.MaxBytes);
        known.Count.ShouldBeLessThan(75);
        known.Keys.ShouldContain(k => k.Environment == "listed");
    }

    [Fact]
    public async Task What_is_wrong_with_a_hostile_file_is_told_in_few_words()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.Admin.ConfigAsync("plain/dev")).Ok();
        var key = new string('k', 1_000_000);
        repository.Commit(("plain.json", $$"""{"{{key}}":1,"{{key}}":2}"""));
        await server.RefreshAsync();
        (await server.Admin.ConfigAsync("plain/dev")).Ok().Body.Length.ShouldBeLessThan(4_000);
    }

    private static TestRepository Repository()
    {
        var repository = new TestRepository();
        repository.Commit(("application.yml", "shared: 1\n"), ("plain.yml", "x: 1\n"), ("secretive.yml", "s: ${secret:one}\n"), ("victim.yml", "p: 1\n"));
        return repository;
    }

    private static async Task<Socket> ConnectAsync(TestServer server)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        var address = new Uri(server.Server.Address);
        await socket.ConnectAsync(address.Host, address.Port);
        return socket;
    }

    private static Task<int> SendAsync(Socket socket, string text) => socket.SendAsync(Encoding.ASCII.GetBytes(text));

    private static async Task<int> ReadStatusAsync(Socket socket)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var buffer = new byte[4096];
        var read = await socket.ReceiveAsync(buffer, timeout.Token);
        return int.Parse(Encoding.ASCII.GetString(buffer, 0, read).Split(' ')[1], CultureInfo.InvariantCulture);
    }
}
