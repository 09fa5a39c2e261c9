using System.Text.Json;
using System.Text.Json.Nodes;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Lockstep.Tests.Compat.Spring;

/// <summary>The cases of shared/conformance/spring/cases.json: what Spring's own tests expect of a server over the repository of each case.</summary>
public sealed class SpringConformanceTests
{
    private const string Folder = "conformance/spring/";

    public static TheoryData<string> Cases()
    {
        var cases = new TheoryData<string>();
        if (SharedFiles.Find(Folder + "cases.json") is not { } file) cases.Add("");
        else cases.AddRange([.. Read(file).Select(c => c.GetProperty("id").GetString()!)]);
        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    [Trait("speed", "medium")]
    public async Task Every_given_case_passes(string id)
    {
        if (id.Length == 0) return;
        var one = Read(SharedFiles.Find(Folder + "cases.json")!).Single(c => c.GetProperty("id").GetString() == id);
        using var folder = new TempDirectory();
        var settings = one.GetProperty("server");
        TestRepository.Run(folder.Path, [], "clone", "--quiet", "--bare", SharedFiles.Find(Folder + settings.GetProperty("repo").GetString())!, "repository.git");
        await using var server = TestServer.Create(folder.File("repository.git"), o => o with { Spring = Settings(settings, folder) });
        await server.StartAsync();
        var request = one.GetProperty("request");
        var accept = request.TryGetProperty("headers", out var headers) ? headers.EnumerateObject().Select(h => (h.Name, h.Value.GetString()!)).ToArray() : [];
        var caller = await server.AsAsync("admin");
        var answer = await caller.SendAsync(request.GetProperty("method").GetString()!, "/spring" + request.GetProperty("path").GetString(), null, accept);
        Check(answer, one.GetProperty("expect"));
    }

    private static SpringOptions Settings(JsonElement server, TempDirectory folder)
    {
        var options = new SpringOptions();
        if (server.TryGetProperty("acceptEmpty", out var acceptEmpty)) options = options with { AcceptEmpty = acceptEmpty.GetBoolean() };
        if (!server.TryGetProperty("encrypt", out var encrypt)) return options;
        File.WriteAllText(folder.File("key"), encrypt.GetProperty("key").GetString()! + "\n");
        return options with { EncryptKeyFile = folder.File("key") };
    }

    private static void Check(Answer answer, JsonElement expect)
    {
        answer.Status.ShouldBe(expect.GetProperty("status").GetInt32(), answer.Text);
        foreach (var matcher in expect.EnumerateObject())
        {
            switch (matcher.Name)
            {
                case "status" or "note":
                    break;
                case "body":
                    answer.Text.ShouldBe(matcher.Value.GetString());
                    break;
                case "contentType":
                    answer.Header("Content-Type")!.Split(';')[0].ShouldBe(matcher.Value.GetString());
                    break;
                case "bodyJsonEquals":
                    ShouldEqual(JsonNode.Parse(answer.Text), matcher.Value);
                    break;
                case "bodyYamlEquals":
                    ShouldEqual(Yaml(answer.Text), matcher.Value);
                    break;
                default:
                    CheckSources(answer.Json.GetProperty("propertySources").EnumerateArray().Select(s => s.GetProperty("source")).ToArray(), matcher);
                    break;
            }
        }
    }

    private static void CheckSources(JsonElement[] sources, JsonProperty matcher)
    {
        switch (matcher.Name)
        {
            case "propertySourceCount":
                sources.Length.ShouldBe(matcher.Value.GetInt32());
                break;
            case "sourceSizes":
                sources.Select(s => s.EnumerateObject().Count()).ShouldBe(matcher.Value.EnumerateArray().Select(n => n.GetInt32()));
                break;
            case "sources":
                sources.Length.ShouldBe(matcher.Value.GetArrayLength());
                foreach (var (source, expected) in sources.Zip(matcher.Value.EnumerateArray())) ShouldEqual(JsonNode.Parse(source.GetRawText()), expected);
                break;
            case "source0":
                foreach (var expected in matcher.Value.EnumerateObject()) sources[0].GetProperty(expected.Name).GetRawText().ShouldBe(expected.Value.GetRawText());
                break;
            case "source0Lacks":
                foreach (var key in matcher.Value.EnumerateArray()) sources[0].TryGetProperty(key.GetString()!, out _).ShouldBeFalse();
                break;
            default:
                throw new InvalidOperationException($"the matcher {matcher.Name} is not known");
        }
    }

    private static void ShouldEqual(JsonNode? actual, JsonElement expected) =>
        JsonNode.DeepEquals(actual, JsonNode.Parse(expected.GetRawText())).ShouldBeTrue($"{actual?.ToJsonString()} instead of {expected.GetRawText()}");

    private static JsonNode? Yaml(string text)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(text));
        return ToJson(stream.Documents[0].RootNode);
    }

    private static JsonNode? ToJson(YamlNode node) => node switch
    {
        YamlMappingNode mapping => new JsonObject(mapping.Children.Select(c => KeyValuePair.Create(((YamlScalarNode)c.Key).Value!, ToJson(c.Value)))),
        YamlSequenceNode sequence => new JsonArray([.. sequence.Children.Select(ToJson)]),
        YamlScalarNode { Style: ScalarStyle.Plain, Value: "null" } => null,
        YamlScalarNode scalar => scalar.Value,
        _ => throw new InvalidOperationException(),
    };

    private static JsonElement[] Read(string file) => [.. JsonElement.Parse(File.ReadAllText(file)).GetProperty("cases").EnumerateArray()];
}
