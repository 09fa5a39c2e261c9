using Lockstep.Audit;
using Lockstep.Client;
using Shouldly;
using Xunit;
using static Lockstep.Tests.Audit.AuditFixture;

namespace Lockstep.Tests.Audit;

public sealed class AuditVerifyTests
{
    [Theory]
    [InlineData("UPDATE audit SET entry = REPLACE(entry, 'allowed', 'denied') WHERE seq = 5", 5, "changed")]
    [InlineData("UPDATE audit SET entry = 'x' WHERE seq = 5", 5, "changed")]
    [InlineData("UPDATE audit SET mac = x'00' WHERE seq = 5", 5, "changed")]
    [InlineData("UPDATE audit SET at = at + 1 WHERE seq = 5", 5, "columns")]
    [InlineData("UPDATE audit SET action = 'other' WHERE seq = 5", 5, "columns")]
    [InlineData("UPDATE audit SET token = NULL WHERE seq = 5", 5, "columns")]
    [InlineData("UPDATE audit SET parent = 't0' WHERE seq = 5", 5, "columns")]
    [InlineData("DELETE FROM audit WHERE seq = 5", 5, "missing")]
    [InlineData("DELETE FROM audit WHERE seq = 1", 1, "missing")]
    [InlineData("DELETE FROM audit WHERE seq < 10", 1, "missing")]
    [InlineData("UPDATE audit SET node = 'node-2' WHERE seq = 10", 1, "missing")]
    [InlineData("INSERT INTO audit SELECT node, 11, at, action, token, entry, mac, parent FROM audit WHERE seq = 10", 11, "changed")]
    [InlineData("INSERT INTO audit SELECT 'node-0', seq, at, action, token, entry, mac, parent FROM audit", 1, "changed")]
    [InlineData("INSERT INTO audit SELECT node, 0, at, action, token, entry, mac, parent FROM audit WHERE seq = 10", 0, "stands where there is none")]
    [InlineData("INSERT INTO audit SELECT node, -5, at, action, token, entry, mac, parent FROM audit WHERE seq = 10", -5, "stands where there is none")]
    [InlineData("INSERT INTO audit SELECT 'node-0', -5, at, action, token, entry, mac, parent FROM audit WHERE seq = 10", -5, "stands where there is none")]
    public async Task Damage_is_found_where_it_begins(string damage, long seq, string reason)
    {
        await using var fixture = await FilledAsync();
        (await fixture.VerifyAsync()).ShouldBe(new AuditVerification { Valid = true, Entries = 10 });
        await fixture.ExecuteAsync(damage);
        var result = await fixture.VerifyAsync();
        result.Valid.ShouldBeFalse();
        result.FirstBad!.Seq.ShouldBe(seq);
        result.FirstBad.Reason.ShouldContain(reason);
    }

    [Fact]
    public async Task Swapped_rows_are_found()
    {
        await using var fixture = await FilledAsync();
        await fixture.ExecuteAsync("UPDATE audit SET seq = -1 WHERE seq = 3");
        await fixture.ExecuteAsync("UPDATE audit SET seq = 3 WHERE seq = 4");
        await fixture.ExecuteAsync("UPDATE audit SET seq = 4 WHERE seq = -1");
        (await fixture.VerifyAsync()).FirstBad.ShouldBe(new AuditBreak { Node = "node-1", Seq = 3, Reason = "the entry, or one before it, was changed" });
    }

    [Fact]
    public async Task Without_the_key_the_chain_cannot_be_made_anew()
    {
        await using var fixture = await FilledAsync();
        await fixture.ExecuteAsync("DELETE FROM audit");
        var forger = new AuditLog(fixture.Database, new byte[32], "node-1");
        await forger.RecordAsync(Entry(), CancellationToken.None);
        (await forger.VerifyAsync(CancellationToken.None)).Valid.ShouldBeTrue();
        (await fixture.VerifyAsync()).FirstBad!.Seq.ShouldBe(1);
    }

    [Fact]
    public async Task Chains_of_several_nodes_and_of_many_pages_verify()
    {
        await using var fixture = await SqliteAsync();
        var other = new AuditLog(fixture.Database, Key, "node-0");
        await fixture.Database.WriteAsync(s =>
        {
            for (var i = 0; i < 2500; i++) fixture.Log.Append(s, Entry(token: $"t{i}"));
            for (var i = 0; i < 10; i++) other.Append(s, Entry());
            return true;
        }, CancellationToken.None);
        (await fixture.VerifyAsync()).ShouldBe(new AuditVerification { Valid = true, Entries = 2510 });
        await fixture.ExecuteAsync("UPDATE audit SET action = 'x' WHERE node = 'node-1' AND seq = 2001");
        (await fixture.VerifyAsync()).ShouldBe(new AuditVerification { Valid = false, FirstBad = new AuditBreak { Node = "node-1", Seq = 2001, Reason = "the columns differ from the entry" } });
    }

    private static async Task<AuditFixture> FilledAsync()
    {
        var fixture = await SqliteAsync();
        for (var i = 0; i < 10; i++) await fixture.Log.RecordAsync(Entry(token: $"t{i}"), CancellationToken.None);
        return fixture;
    }
}
