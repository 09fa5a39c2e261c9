using System.Text.Json;
using Lockstep.Client;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;

namespace Lockstep.Compat.Spring;

/// <summary>Reads what webhooks say of changed files, and guesses whose they are.</summary>
internal static class MonitorPaths
{
    private static readonly string[] s_kinds = ["added", "removed", "modified"];

    // What Spring takes for "anything may have changed".
    private static readonly string[] s_everything = ["application.yml"];

    /// <summary>The changed paths; none when the hook is of no kind that is known.</summary>
    public static IReadOnlyList<string> Of(HttpRequest request, string body)
    {
        if (Bodies.Is(request, "application/x-www-form-urlencoded"))
            return QueryHelpers.ParseQuery(body).TryGetValue("path", out var paths) ? [.. paths.OfType<string>()] : [];
        try
        {
            using var json = JsonDocument.Parse(body);
            return json.RootElement.ValueKind == JsonValueKind.Object ? Of(request, json.RootElement) : [];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // The latter: a text with half of a surrogate pair.
            throw new LockstepException(ErrorCode.BadRequest, "the body is not valid JSON");
        }
    }

    /// <summary>The services that the paths speak of: <c>foo-local-dev.yml</c> is of foo-local-dev, foo-local or foo; application is of all, <c>*</c>, and other names that begin so are of none.</summary>
    public static IEnumerable<string> Services(IEnumerable<string> paths) => paths.SelectMany(Services).Distinct(StringComparer.Ordinal);

    private static IEnumerable<string> Services(string path)
    {
        var name = path[(path.LastIndexOf('/') + 1)..];
        var dot = name.LastIndexOf('.');
        var stem = dot < 0 ? name : name[..dot];
        for (var end = stem.Length; end > 0; end = stem.LastIndexOf('-', end - 1))
        {
            if (stem[..end] == "application") yield return "*";
            else if (!stem.StartsWith("application", StringComparison.Ordinal)) yield return stem[..end];
        }
    }

    private static string[] Of(HttpRequest request, JsonElement body)
    {
        if (Header("X-Gitea-Event") == "push") return s_everything;
        if (Header("X-Github-Event") == "push" || Header("X-Gitlab-Event") == "Push Hook" || Header("X-Gogs-Event") == "push") return OfCommits(body);
        switch (Header("X-Event-Key"))
        {
            case "repo:push" or "pullrequest:fulfilled" when Header("X-Hook-UUID") is not null && HasChanges(body):
            case "repo:refs_changed" or "pr:merged" when Header("X-Request-Id") is not null:
                return s_everything;
        }
        return body.TryGetProperty("path", out var path) ? Texts(path) : [];

        string? Header(string name) => request.Headers[name] is [{ Length: > 0 } value] ? value : null;
    }

    private static bool HasChanges(JsonElement body) =>
        body.TryGetProperty("pullrequest", out _)
        || (body.TryGetProperty("push", out var push) && push.ValueKind == JsonValueKind.Object
            && push.TryGetProperty("changes", out var changes) && changes.ValueKind == JsonValueKind.Array);

    private static string[] OfCommits(JsonElement body)
    {
        if (!body.TryGetProperty("commits", out var commits) || commits.ValueKind != JsonValueKind.Array) return [];
        return [.. commits.EnumerateArray().Where(c => c.ValueKind == JsonValueKind.Object)
            .SelectMany(c => s_kinds.SelectMany(kind => c.TryGetProperty(kind, out var files) ? Texts(files) : []))
            .Distinct(StringComparer.Ordinal)];
    }

    private static string[] Texts(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => [value.GetString()!],
        JsonValueKind.Array => [.. value.EnumerateArray().Where(e => e.ValueKind == JsonValueKind.String).Select(e => e.GetString()!)],
        _ => [],
    };
}
