using System.Text.Json;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Gate;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Compat.Spring;

/// <summary>
/// An environment as JSON with its sources, and merged in the flat forms. What the network does not take up at once is cut off when the token ends meanwhile.
/// </summary>
internal sealed class EnvironmentAnswers(Gate.Gate gate)
{
    /// <summary>With an origin beside each value.</summary>
    private const string Version2 = "application/vnd.spring-cloud.config-server.v2+json";

    // Where a file is from, for people; Spring's clients do not take it apart.
    private readonly string _repository = RepositoryName(gate.Options.Config.Url);

    public async Task EnvironmentAsync(HttpContext context, CallContext call, SourcesQuery query, string? label)
    {
        var origins = context.Request.Headers.Accept.Any(a => a?.Contains(Version2, StringComparison.OrdinalIgnoreCase) == true);
        var read = await gate.ReadSourcesAsync(call, query, context.RequestAborted);
        RefuseEmpty(query, read.Sources.Length);
        using var life = gate.Authenticator.WhenEnded(call.Caller, context.Abort);
        SpringAnswers.Head(context, read.Head);
        await SpringAnswers.JsonAsync(context, json => Write(json, (query, label), read, origins), origins ? Version2 : SpringAnswers.Json);
    }

    public async Task FlatAsync(HttpContext context, CallContext call, FlatName name, string? label)
    {
        var query = SpringNames.Query(name.Name, name.Profiles, label);
        var expand = Parameters.Flag(context.Request, "resolvePlaceholders", true);
        var (values, head) = await gate.ReadMergedAsync(call, query, sources =>
        {
            RefuseEmpty(query, sources.Count);
            return FlatKeys.Of(sources);
        }, expand, context.RequestAborted);
        using var life = gate.Authenticator.WhenEnded(call.Caller, context.Abort);
        SpringAnswers.Head(context, head);
        switch (name.Extension)
        {
            case ".properties":
                await SpringAnswers.TextAsync(context, string.Join('\n', values.Select(v => $"{v.Key}: {v.Value.Text}")));
                break;
            case ".json":
                var tree = FlatTree.Build(values);
                await SpringAnswers.JsonAsync(context, json => Write(json, tree));
                break;
            default:
                await SpringAnswers.TextAsync(context, SnakeYaml.Write(FlatTree.Build(values)));
                break;
        }
    }

    private void RefuseEmpty(SourcesQuery query, int sources)
    {
        if (sources == 0 && !gate.Options.Spring.AcceptEmpty) throw new LockstepException(ErrorCode.NotFound, $"there are no files for {query}");
    }

    private void Write(Utf8JsonWriter json, (SourcesQuery Query, string? Label) asked, SourcesRead read, bool origins)
    {
        json.WriteStartObject();
        json.WriteString("name", asked.Query.Service);
        json.WriteStartArray("profiles");
        json.WriteStringValue(asked.Query.Environment);
        json.WriteEndArray();
        json.WriteString("label", asked.Label);
        json.WriteString("version", read.Commits.IsEmpty ? null : string.Join(',', read.Commits));
        json.WriteNull("state");
        json.WriteStartArray("propertySources");
        foreach (var (source, values) in read.Sources)
        {
            json.WriteStartObject();
            json.WriteString("name", NameOf(source));
            json.WriteStartObject("source");
            for (var i = 0; i < values.Length; i++)
            {
                var entry = source.Entries[i];
                json.WritePropertyName(entry.Key);
                if (origins && source.Path.Length > 0)
                {
                    json.WriteStartObject();
                    json.WritePropertyName("value");
                    values[i].WriteTo(json);
                    json.WriteString("origin", $"[{_repository}/{source.Path}]:{entry.Line}:{entry.Column}");
                    json.WriteEndObject();
                }
                else
                {
                    values[i].WriteTo(json);
                }
            }
            json.WriteEndObject();
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, FlatNode node)
    {
        switch (node)
        {
            case FlatNode.Leaf leaf:
                leaf.Value.WriteTo(json);
                break;
            case FlatNode.Map map:
                json.WriteStartObject();
                foreach (var (name, member) in map.Members)
                {
                    json.WritePropertyName(name);
                    Write(json, member);
                }
                json.WriteEndObject();
                break;
            case FlatNode.Sequence sequence:
                json.WriteStartArray();
                foreach (var item in sequence.Items)
                {
                    if (item is null) json.WriteNullValue();
                    else Write(json, item);
                }
                json.WriteEndArray();
                break;
        }
    }

    private string NameOf(PropertySource source) =>
        source.Path.Length == 0 ? source.Name
        : source.Name == source.Path ? $"{_repository}/{source.Path}"
        : $"Config resource 'file [{_repository}/{source.Path}]' via location '{_repository}/' (document #{source.Document})";

    private static string RepositoryName(string? url)
    {
        if (url is null) return "config.git";
        if (!url.Contains("://", StringComparison.Ordinal)) return url;
        // Without whatever could be a password.
        return Uri.TryCreate(url, UriKind.Absolute, out var parsed) ? $"{parsed.Scheme}://{parsed.Authority}{parsed.AbsolutePath}" : "config";
    }
}
