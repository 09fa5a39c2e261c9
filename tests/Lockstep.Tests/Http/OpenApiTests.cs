using System.Text.Json;
using Lockstep.Client;
using Lockstep.Http;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Http;

public sealed class OpenApiTests
{
    private static readonly JsonElement s_document = Read();

    [Fact]
    public async Task It_lists_the_routes_that_are_mapped_and_no_others()
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "x: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        var mapped = (await Routes.OfAsync(server)).Where(r => r.Pattern.StartsWith("/v1/", StringComparison.Ordinal) || r.Pattern.StartsWith("/secrets", StringComparison.Ordinal))
            .Select(r => $"{r.Method} {r.Pattern.Replace("{**", "{", StringComparison.Ordinal)}");
        var described = s_document.GetProperty("paths").EnumerateObject().SelectMany(p => p.Value.EnumerateObject().Select(o => $"{o.Name.ToUpperInvariant()} {p.Name}"));
        described.Order().ShouldBe(mapped.Order());
        (await server.Nobody.GetAsync("/openapi/v1.json")).Ok().Json.GetRawText().ShouldBe(s_document.GetRawText());
    }

    [Fact]
    public void Each_schema_has_the_properties_of_its_wire_type()
    {
        var types = LockstepJson.Default.GetType().GetProperties().Where(p => p.PropertyType.IsGenericType && p.PropertyType.Name.StartsWith("JsonTypeInfo", StringComparison.Ordinal))
            .ToDictionary(p => p.Name, p => (System.Text.Json.Serialization.Metadata.JsonTypeInfo)p.GetValue(LockstepJson.Default)!, StringComparer.Ordinal);
        var checkedTypes = 0;
        foreach (var schema in s_document.GetProperty("components").GetProperty("schemas").EnumerateObject())
        {
            var name = schema.Name == "AuditEntry" ? "AuditEntryInfo" : schema.Name;
            // One with a converter of its own tells no properties.
            if (!types.TryGetValue(name, out var type) || type.Kind != System.Text.Json.Serialization.Metadata.JsonTypeInfoKind.Object) continue;
            checkedTypes++;
            schema.Value.GetProperty("properties").EnumerateObject().Select(p => p.Name).Order()
                .ShouldBe(type.Properties.Select(p => p.Name).Order(), schema.Name);
            var required = schema.Value.TryGetProperty("required", out var names) ? names.EnumerateArray().Select(n => n.GetString()!).ToList() : [];
            required.ShouldBeSubsetOf(type.Properties.Select(p => p.Name), schema.Name);
            // What a request must have is required here too.
            if (schema.Name is "SecretCreate" or "SecretPut" or "ActivateRequest" or "RollbackRequest" or "TokenCreate" or "TokenDerive" or "TokenRenew" or "RolePut" or "KillRequest")
                required.Order().ShouldBe(type.Properties.Where(p => p.IsRequired).Select(p => p.Name).Order(), schema.Name);
        }
        checkedTypes.ShouldBeGreaterThan(20);
    }

    [Fact]
    public void Every_reference_leads_somewhere_and_every_parameter_of_a_path_is_described()
    {
        foreach (var reference in References(s_document))
        {
            var at = s_document;
            foreach (var step in reference.Split('/').Skip(1)) at.TryGetProperty(step, out at).ShouldBeTrue(reference);
        }
        foreach (var path in s_document.GetProperty("paths").EnumerateObject())
        {
            foreach (var operation in path.Value.EnumerateObject())
            {
                var parameters = operation.Value.TryGetProperty("parameters", out var list) ? list.EnumerateArray().Select(Resolve).Where(p => p.GetProperty("in").GetString() == "path").Select(p => p.GetProperty("name").GetString()!) : [];
                parameters.Order().ShouldBe(path.Name.Split('/').Where(s => s.StartsWith('{')).Select(s => s.Trim('{', '}')).Order(), path.Name);
            }
        }
    }

    private static JsonElement Resolve(JsonElement parameter)
    {
        if (!parameter.TryGetProperty("$ref", out var reference)) return parameter;
        return reference.GetString()!.Split('/').Skip(1).Aggregate(s_document, (at, step) => at.GetProperty(step));
    }

    private static IEnumerable<string> References(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => element.EnumerateObject().SelectMany(p => p is { Name: "$ref", Value.ValueKind: JsonValueKind.String } ? [p.Value.GetString()!] : References(p.Value)),
        JsonValueKind.Array => element.EnumerateArray().SelectMany(References),
        _ => [],
    };

    private static JsonElement Read()
    {
        using var stream = OpenApi.Open();
        using var document = JsonDocument.Parse(stream);
        return document.RootElement.Clone();
    }
}
