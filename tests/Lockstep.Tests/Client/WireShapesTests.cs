using System.Text.Json;
using Lockstep.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Client;

/// <summary>The wire shapes, letter by letter: other people's scripts depend on them.</summary>
public sealed class WireShapesTests
{
    private static readonly DateTimeOffset s_at = new(2026, 1, 31, 23, 59, 0, TimeSpan.FromHours(2));

    [Fact]
    public void A_snapshot_is_written_head_first_and_stale_false_when_it_is_not()
    {
        var snapshot = Sample();
        Write(snapshot).ShouldBe("""{"release":42,"commit":"9f1c","stale":false,"service":"payments","environment":"production","label":"main","values":{"db.host":"db1","db.port":5432},"secrets":["db.password"],"withheld":[]}""");
        Write(snapshot with { Pinned = 7, Stale = new() { Since = s_at, Reason = "fetch failed" } })
            .ShouldContain("""
                "stale":{"since":"2026-01-31T21:59:00Z","reason":"fetch failed"},"pinned":7,
                """.Trim());
    }

    [Fact]
    public void A_snapshot_reads_back_as_it_was_written_and_never_prints_a_value()
    {
        var text = Write(Sample() with { Stale = new() { Since = s_at, Reason = "x" } });
        var back = JsonSerializer.Deserialize(text, LockstepJson.Default.Snapshot)!;
        back.Stale!.Since.ShouldBe(s_at);
        back.Values["db.port"].GetInt32().ShouldBe(5432);
        back.ToString().ShouldNotContain("db1");
        Write(back).ShouldBe(text);
    }

    [Theory]
    [InlineData("""{"release":1,"release":1,"commit":"c","service":"s","environment":"e","label":"l","values":{}}""")]
    [InlineData("""{"release":"1"}""")]
    [InlineData("""{"release":1.5}""")]
    [InlineData("""{"release":1,"commit":"c","service":"s","environment":"e","label":"l"}""")]
    [InlineData("""{"release":1,"commit":"c","service":"s","environment":"e","label":"l","values":{"a":1,"a":2}}""")]
    [InlineData("""{"release":1,"commit":"c","service":"s","environment":"e","label":"l","values":[]}""")]
    [InlineData("""{"release":1,"commit":"c","service":"s","environment":"e","label":"l","values":{},"secrets":[1]}""")]
    [InlineData("""{"release":1,"commit":"c","service":"s","environment":"e","label":"l","values":{},"stale":true}""")]
    [InlineData("""[]""")]
    [InlineData("""{"release":1""")]
    public void A_snapshot_that_is_none_is_refused(string text) =>
        Should.Throw<JsonException>(() => JsonSerializer.Deserialize(text, LockstepJson.Tolerant.Snapshot));

    [Fact]
    public void A_newer_snapshot_may_have_more()
    {
        var text = Write(Sample()).Replace("\"stale\"", "\"more\":{\"a\":[1]},\"stale\"");
        JsonSerializer.Deserialize(text, LockstepJson.Tolerant.Snapshot)!.Label.ShouldBe("main");
        Should.Throw<JsonException>(() => JsonSerializer.Deserialize(text, LockstepJson.Default.Snapshot));
    }

    [Fact]
    public void Requests_are_strict_and_answers_tolerate_what_is_new()
    {
        const string Unknown = """{"version":1,"more":2}""";
        Should.Throw<JsonException>(() => JsonSerializer.Deserialize(Unknown, LockstepJson.Default.ActivateRequest)).Message.ShouldContain("more");
        JsonSerializer.Deserialize(Unknown, LockstepJson.Tolerant.ActivateRequest)!.Version.ShouldBe(1);
        Should.Throw<JsonException>(() => JsonSerializer.Deserialize("""{"version":1,"version":2}""", LockstepJson.Default.ActivateRequest));
        Should.Throw<JsonException>(() => JsonSerializer.Deserialize("{}", LockstepJson.Default.ActivateRequest));
        Should.Throw<JsonException>(() => JsonSerializer.Deserialize("""{"id":null,"value":"x"}""", LockstepJson.Default.SecretCreate));
    }

    [Fact]
    public void What_an_answer_leaves_out_is_its_default()
    {
        var entry = JsonSerializer.Deserialize("""{"node":"n","seq":1,"at":"2026-01-01T00:00:00Z","action":"a","decision":"allowed"}""", LockstepJson.Tolerant.AuditEntryInfo)!;
        (entry.Instances.Count, entry.Secrets.Count, entry.Count).ShouldBe((0, 0, 1));
        var problem = JsonSerializer.Deserialize("{}", LockstepJson.Tolerant.Problem)!;
        (problem.Code, problem.Detail, problem.Type).ShouldBe(("", "", "about:blank"));
    }

    [Fact]
    public void Optional_fields_are_left_out_and_null_ones_are_written()
    {
        Write(new SecretPut { Value = Json("\"x\"") }).ShouldBe("""{"value":"x"}""");
        Write(new SecretWritten { Id = "a/b", Version = 2 }).ShouldBe("""{"id":"a/b","version":2,"release":null}""");
        Write(new AuditVerification { Valid = true, Entries = 3 }).ShouldBe("""{"valid":true,"entries":3}""");
        Write(new SecretMetadata { Id = "a" }).ShouldBe("""{"id":"a","mount":null,"active":null,"versions":[],"lock":null,"value":null}""");
        Write(new Page<ReleaseInfo> { Items = [] }).ShouldBe("""{"items":[],"next":null}""");
        Write(new TokenCreate { Name = "n", Role = "reader", ExpiresIn = TimeSpan.FromHours(24) }).ShouldBe("""{"name":"n","role":"reader","expiresIn":"24h"}""");
    }

    [Fact]
    public void What_carries_a_secret_never_prints_it()
    {
        new SecretPut { Value = Json("\"hunter2\"") }.ToString().ShouldNotContain("hunter2");
        new SecretCreate { Id = "a", Value = Json("\"hunter2\"") }.ToString().ShouldNotContain("hunter2");
        new SecretPlaintext { Id = "a", Version = 1, Value = "hunter2" }.ToString().ShouldNotContain("hunter2");
        new TokenCreated { Id = "a", Name = "n", Token = "lks_hunter2" }.ToString().ShouldNotContain("hunter2");
    }

    [Theory]
    [InlineData("2026-01-31T23:59:00")]
    [InlineData("2026-01-31")]
    [InlineData("2026-01-31 23:59:00Z")]
    [InlineData("")]
    public void A_time_without_an_offset_is_refused(string text) =>
        Should.Throw<JsonException>(() => JsonSerializer.Deserialize($$"""{"since":"{{text}}","reason":""}""", LockstepJson.Default.StaleInfo));

    [Theory]
    [InlineData("500ms", 500)]
    [InlineData("30s", 30_000)]
    [InlineData("15m", 900_000)]
    [InlineData("24h", 86_400_000)]
    [InlineData("30d", 2_592_000_000)]
    [InlineData("0s", 0)]
    public void Durations_are_a_number_and_a_unit(string text, long milliseconds)
    {
        Durations.Parse(text).ShouldBe(TimeSpan.FromMilliseconds(milliseconds));
        Durations.Parse(Durations.Format(TimeSpan.FromMilliseconds(milliseconds))).ShouldBe(TimeSpan.FromMilliseconds(milliseconds));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("30")]
    [InlineData("s")]
    [InlineData("-1s")]
    [InlineData("1.5s")]
    [InlineData("1 s")]
    [InlineData("1S")]
    [InlineData("3651d")]
    [InlineData("9999999999999999999999s")]
    [InlineData("1h30m")]
    public void Anything_else_is_no_duration(string? text) => Durations.TryParse(text, out _).ShouldBeFalse();

    private static Snapshot Sample() => new()
    {
        Release = 42,
        Commit = "9f1c",
        Service = "payments",
        Environment = "production",
        Label = "main",
        Values = new SortedDictionary<string, JsonElement>(StringComparer.Ordinal) { ["db.port"] = Json("5432"), ["db.host"] = Json("\"db1\"") },
        Secrets = ["db.password"],
    };

    private static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    private static string Write<T>(T value) => JsonSerializer.Serialize(value, typeof(T), LockstepJson.Default);
}
