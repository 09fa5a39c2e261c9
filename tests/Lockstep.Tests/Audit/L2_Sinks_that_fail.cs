using System.IO.Pipes;
using Lockstep.Audit;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using static Lockstep.Tests.Audit.AuditFixture;

namespace Lockstep.Tests.Audit;

/// <summary>L2 with more than the database: a sink that can't write stops disclosures and nothing else, and they come back by themselves.</summary>
[Trait("speed", "medium")]
public sealed class L2_Sinks_that_fail
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    [Fact]
    public async Task A_file_that_cannot_be_written_fails_disclosures_at_once_and_is_caught_up_when_it_can()
    {
        await using var fixture = await SqliteAsync();
        var folder = System.IO.Directory.CreateDirectory(fixture.Directory.File("logs")).FullName;
        var path = System.IO.Path.Combine(folder, "audit.jsonl");
        await fixture.FollowAsync(new AuditFileSink(new AuditOptions { File = path }, fixture.Time));
        await fixture.Log.RecordAsync(Entry(token: "before"), s_none);

        // Renamed away, and nothing can be made in its place.
        System.IO.Directory.Move(folder, folder + ".gone");
        var refused = await Should.ThrowAsync<LockstepException>(fixture.Log.RecordAsync(Entry(token: "first"), s_none));
        refused.Code.ShouldBe(ErrorCode.Unavailable);
        refused.Message.ShouldContain(path);
        fixture.Log.SinkFailure!.Value.Failure.Reason.ShouldContain("logs");
        var entries = (await fixture.AllAsync()).Count;
        await Should.ThrowAsync<LockstepException>(fixture.Log.RecordAsync(Entry(token: "second"), s_none));
        // It does not even get to the database; denials and writes do.
        (await fixture.AllAsync()).Count.ShouldBe(entries);
        await fixture.Log.RecordAsync(Entry(decision: AuditEntry.Denied), s_none);
        await fixture.Database.WriteAsync(s => { fixture.Log.Append(s, Entry("secret.write")); return true; }, s_none);

        System.IO.Directory.Move(folder + ".gone", folder);
        await Poll.UntilAsync(() => fixture.Log.SinkFailure is null, "the file can be written again");
        await fixture.Log.RecordAsync(Entry(token: "after"), s_none);
        var lines = await System.IO.File.ReadAllLinesAsync(path);
        lines.Length.ShouldBe(entries + 3);
        lines[^1].ShouldContain("\"after\"");
        (await fixture.VerifyAsync()).ShouldBe(new AuditVerification { Valid = true, Entries = entries + 3 });
    }

    [Fact]
    public async Task A_stream_that_nobody_reads_fails_who_waits_in_bounded_time_and_recovers_when_it_is_read()
    {
        await using var fixture = await SqliteAsync();
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In);
        using var far = new AnonymousPipeClientStream(PipeDirection.Out, pipe.ClientSafePipeHandle);
        await fixture.FollowAsync(new AuditStreamSink(lines => far.Write(lines.Span), "the pipe"));
        // More than a pipe holds.
        await fixture.Database.WriteAsync(s =>
        {
            for (var i = 0; i < 100; i++) fixture.Log.Append(s, Entry(instance: new string('x', 2000)));
            return true;
        }, s_none);
        var begun = TimeProvider.System.GetTimestamp();
        var refused = await Should.ThrowAsync<LockstepException>(fixture.Log.RecordAsync(Entry(token: "first"), s_none));
        refused.Code.ShouldBe(ErrorCode.Unavailable);
        refused.Message.ShouldContain("the pipe");
        TimeProvider.System.GetElapsedTime(begun).ShouldBeLessThan(TimeSpan.FromMinutes(1));
        await Poll.UntilAsync(() => fixture.Log.SinkFailure is not null, "the pipe counts as failing");
        // Who comes now does not wait.
        fixture.Log.RecordAsync(Entry(token: "second"), s_none).IsFaulted.ShouldBeTrue();
        await fixture.Log.RecordAsync(Entry(decision: AuditEntry.Denied), s_none);

        var lines = new List<string>();
        var reading = Task.Run(async () =>
        {
            using var reader = new StreamReader(pipe);
            while (await reader.ReadLineAsync() is { } line) lock (lines) lines.Add(line);
        });
        await Poll.UntilAsync(() => fixture.Log.SinkFailure is null, "the pipe is written again");
        await fixture.Log.RecordAsync(Entry(token: "after"), s_none);
        await Poll.UntilAsync(() => { lock (lines) return lines.Count == 103; }, "every line is there, once");
        lock (lines) lines[^1].ShouldContain("\"after\"");
        await fixture.ForgetAsync();
        far.Dispose();
        await reading;
    }

    [Fact]
    public async Task A_file_that_cannot_be_opened_ends_the_start()
    {
        using var repository = new TestRepository();
        repository.Commit(("shop.yml", "a: 1\n"));
        await using var server = TestServer.Create(repository.Path, o => o with { Audit = new AuditOptions { File = o.Data + "/no/such/audit.jsonl" } });
        var refused = await Should.ThrowAsync<LockstepException>(server.StartAsync());
        refused.Message.ShouldContain("audit.jsonl");
        refused.Code.ShouldBe(ErrorCode.Unavailable);
    }

    [Fact]
    public async Task While_the_file_fails_nothing_secret_leaves_readiness_says_so_and_the_rest_goes_on()
    {
        using var repository = new TestRepository();
        repository.Commit(("shop.yml", "password: ${secret:shop/db}\n"), ("plain.yml", "a: 1\n"));
        using var logs = new TempDirectory();
        var folder = System.IO.Directory.CreateDirectory(logs.File("logs")).FullName;
        await using var server = await TestServer.StartAsync(repository, o => o with { Audit = new AuditOptions { File = folder + "/audit.jsonl" } });
        (await server.PutAsync("shop/db", "the-value")).Ok();
        await using var watcher = await TestWatcher.ConnectAsync(server, server.Admin.Token!);
        (await watcher.SubscribeAsync(1, "shop/dev")).ToString().ShouldContain("the-value");
        (await server.Admin.ConfigAsync("shop/dev")).Ok().Text.ShouldContain("the-value");

        System.IO.Directory.Move(folder, folder + ".gone");
        // The write is durable; what it would push stays here.
        (await server.PutValueAsync("shop/db", "next-value")).Ok();
        var refused = (await server.Admin.ConfigAsync("shop/dev")).ShouldBe(503, "unavailable");
        refused.Detail.ShouldContain("audit.jsonl");
        refused.Text.ShouldNotContain("value");
        (await server.Admin.ConfigAsync("plain/dev")).Ok();
        (await (await server.AsAsync("viewer")).GetAsync("/v1/secrets")).ShouldBe(403, "forbidden");
        var ready = await server.Admin.GetAsync("/readyz");
        ready.Status.ShouldBe(503);
        ready.Json.GetProperty("checks").GetProperty("audit").GetString()!.ShouldContain("can't be written since");
        (await watcher.IsQuietAsync()).ShouldBeTrue();

        System.IO.Directory.Move(folder + ".gone", folder);
        (await watcher.NextAsync()).ToString().ShouldContain("next-value");
        await Poll.UntilAsync(async () => (await server.Admin.GetAsync("/readyz")).Status == 200, "ready again");
        (await server.Admin.ConfigAsync("shop/dev")).Ok().Text.ShouldContain("next-value");
        (await server.Admin.GetAsync("/v1/audit/verify")).Json.GetProperty("valid").GetBoolean().ShouldBeTrue();
        // Every entry once, the push before it was sent among them.
        await server.StopAsync();
        var seqs = System.IO.File.ReadLines(folder + "/audit.jsonl").Select(l => System.Text.Json.JsonDocument.Parse(l).RootElement.GetProperty("seq").GetInt64()).ToList();
        seqs.ShouldBe(Enumerable.Range(1, seqs.Count).Select(i => (long)i));
        System.IO.File.ReadAllText(folder + "/audit.jsonl").ShouldNotContain("value");
    }
}
