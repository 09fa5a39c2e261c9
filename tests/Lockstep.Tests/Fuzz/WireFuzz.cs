using System.Globalization;
using System.Numerics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Lockstep.Audit;
using Lockstep.Client;
using Lockstep.Config.Placeholders;
using Lockstep.Push;
using Lockstep.Secrets;
using Shouldly;
using Xunit;
using ClientSide = Lockstep.Client.ServerFrame;
using ServerSide = Lockstep.Push.ServerFrame;

namespace Lockstep.Tests.Fuzz;

/// <summary>Frames of watch connections on both sides, and the short texts that stand in requests and settings.</summary>
[Trait("speed", "medium")]
public sealed partial class WireFuzz
{
    private static readonly string[] s_json = ["\"", "\\ud800", "\\u0000", "{", "}", "[", "]", "null", "true", "-1", "1e3", "1e999", "9223372036854775808", ":", ",", "\"id\":1,", "\"op\":\"hello\",", "\ufeff"];

    [Fact]
    public void Frames_of_clients_are_refused_or_mean_what_they_say_when_they_are_written_again()
    {
        new Fuzzer("client frames",
        [
            """{"op":"hello","instance":"a-1","client":"x/1","token":"lks_x"}""", """{"op":"subscribe","id":1,"service":"a","environment":"dev","label":"main","etag":"W/\"x\"","release":3}""",
            """{"op":"unsubscribe","id":0}""", """{"op":"applied","id":2,"release":7,"etag":"x"}""", """{"op":"failed","id":2,"release":7,"etag":"x","reason":"\u00fc"}""",
        ], s_json).Run((byte[] bytes) =>
        {
            if (!TokenFuzz.Accepts(() => ClientFrames.Read(bytes), out var frame)) return false;
            frame!.ToString().ShouldBe(frame.Op);
            ClientFrames.Read(JsonSerializer.SerializeToUtf8Bytes(frame, WatchJson.Default.ClientFrame)).ShouldBe(frame);
            return true;
        });
    }

    [Fact]
    public void Frames_of_servers_are_refused_or_read_and_nothing_else()
    {
        new Fuzzer("server frames",
        [
            """{"op":"welcome","epoch":"e","pingMs":20000,"maxFrame":65536,"maxSubscriptions":100}""",
            """{"op":"snapshot","id":1,"etag":"x","release":3,"commit":"c","stale":false,"service":"a","environment":"dev","label":"main","values":{"a":1,"b":"x","c":true,"d":2.50},"secrets":["b"],"withheld":[]}""",
            """{"op":"change","id":1,"from":3,"release":4,"commit":"d","etag":"y","set":{"a":2},"unset":["b"],"secrets":[],"withheld":["c"]}""",
            """{"op":"stale","id":1,"since":"2030-01-02T03:04:05Z","reason":"x"}""", """{"op":"error","id":null,"code":"not-found","detail":"x"}""", """{"op":"goodbye","reason":"x","retryAfterMs":5}""",
            """{"op":"current","id":1,"release":3,"etag":"x"}""",
        ], s_json).Run((byte[] bytes) =>
        {
            try
            {
                if (ClientSide.Read(bytes) is not { } frame) return true;
                using var json = JsonDocument.Parse(bytes);
                frame.Op.ShouldBe(json.RootElement.GetProperty("op").GetString());
                if (frame.Release is { } release) json.RootElement.GetProperty("release").GetInt64().ShouldBe(release);
                if (frame.Op == "snapshot") frame.ToSnapshot().Release.ShouldBe(frame.Release!.Value);
                frame.ToString().ShouldBe(frame.Op);
                return true;
            }
            catch (JsonException)
            {
                return false;
            }
        });
    }

    [Fact]
    public void What_a_server_writes_of_any_text_its_clients_read_as_that_text()
    {
        new Fuzzer("texts in frames", ["plain", "\"quoted\" \\ </script>", "\u2028\ud83d\ude00"], "\0", "\\", "\"", "\u0085", "\ud83d\ude00").Run((string text) =>
        {
            var error = ClientSide.Read(Whole(ServerSide.Error(7, new LockstepException(ErrorCode.NotFound, text))))!;
            (error.Id, error.Code, error.Detail).ShouldBe((7, "not-found", text));
            ClientSide.Read(Whole(ServerSide.Goodbye(text, TimeSpan.FromSeconds(1))))!.Reason.ShouldBe(text);
            ClientSide.Read(Whole(ServerSide.Welcome(text, TimeSpan.FromSeconds(1))))!.Epoch.ShouldBe(text);
            return true;
        });

        static byte[] Whole(ServerSide frame) => [.. frame.Head.Span, .. frame.Body.Span];
    }

    [Fact]
    public void Ids_of_secrets_are_those_of_their_grammar()
    {
        new Fuzzer("secret ids", ["payments/db", "a", "A-b_c.d+e=f/%2C", "..a/b.."], "/", "//", ".", "..", "%", "%2F", "%2f", "%%", "\0", " ", "\u00e9", "#", "@").Run((string text) =>
        {
            var isId = SecretId.TryParse(text, out var id);
            isId.ShouldBe(text.Length <= 255 && IdGrammar().IsMatch(text) && !text.Split('/').Any(s => s is "." or ".."), text);
            if (isId) id.ToString().ShouldBe(text);
            return isId;
        });
    }

    [Fact]
    public void References_to_secrets_read_back_as_they_are_written()
    {
        new Fuzzer("references", ["payments/db", "payments/db#password", "a#b@3", "a%2Cb#c%C3%BC@2147483647"], "#", "@", "@0", "@1", "%", "%00", "%C3", "${", "}", ":", "\u00e9", " ").Run((string text) =>
        {
            SecretRef reference;
            try
            {
                reference = SecretReference.Parse(text);
            }
            catch (TemplateException e)
            {
                e.Message.ShouldNotBeNullOrEmpty();
                return false;
            }
            var written = SecretReference.Write(reference);
            TemplateParser.References("x" + written + "y").Single(p => p.Ref is not null).Ref.ShouldBe(reference);
            if (reference.Version is { } version) version.ShouldBePositive();
            return true;
        });
    }

    [Fact]
    public void Cursors_of_the_record_read_back_as_they_are_written()
    {
        new Fuzzer("audit cursors", ["1.2.node", "1767323045000.99.n1"], ".", "-1", "99999999999999999999", "+", " ", "\0", "0").Run((string text) =>
        {
            if (!AuditCursor.TryParse(text, out var cursor)) return false;
            AuditCursor.TryParse(cursor.ToString(), out var again).ShouldBeTrue();
            again.ShouldBe(cursor);
            cursor.At.ShouldBeGreaterThanOrEqualTo(0);
            cursor.Seq.ShouldBeGreaterThanOrEqualTo(0);
            return true;
        });
    }

    [Fact]
    public void Durations_are_those_of_their_grammar_and_keep_their_length()
    {
        (string Unit, long Milliseconds)[] units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        new Fuzzer("durations", ["500ms", "30s", "15m", "24h", "3650d", "0s"], "ms", "s", "m", "h", "d", "0", "9", "999999999", "-", "+", ".", " ", "\u0661").Run((string text) =>
        {
            var isDuration = Durations.TryParse(text, out var duration);
            var match = Regex.Match(text, @"\A(?<number>[0-9]{1,12})(?<unit>ms|s|m|h|d)\z", RegexOptions.None, TimeSpan.FromSeconds(5));
            var expected = match.Success ? BigInteger.Parse(match.Groups["number"].Value, CultureInfo.InvariantCulture) * units.Single(u => u.Unit == match.Groups["unit"].Value).Milliseconds : -1;
            isDuration.ShouldBe(match.Success && expected <= (BigInteger)Durations.Max.TotalMilliseconds, text);
            if (!isDuration) return false;
            ((BigInteger)duration.TotalMilliseconds).ShouldBe(expected);
            Durations.Parse(Durations.Format(duration)).ShouldBe(duration);
            return true;
        });
    }

    [GeneratedRegex(@"\A(?:[A-Za-z0-9_.+=-]|%[0-9A-F]{2})+(?:/(?:[A-Za-z0-9_.+=-]|%[0-9A-F]{2})+)*\z", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 5000)]
    private static partial Regex IdGrammar();
}
