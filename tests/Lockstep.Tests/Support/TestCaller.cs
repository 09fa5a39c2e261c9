using System.Text;
using System.Text.Json;
using Shouldly;

namespace Lockstep.Tests.Support;

/// <summary>Sends requests to a test server with one token.</summary>
internal sealed class TestCaller(TestServer server, string? token)
{
    public string Name { get; init; } = "";

    public string TokenId { get; init; } = "";

    public string? Token => token;

    public Task<Answer> GetAsync(string path, params (string Name, string Value)[] headers) => SendAsync("GET", path, null, headers);

    public Task<Answer> PostAsync(string path, object? body = null) => SendAsync("POST", path, body);

    public Task<Answer> PutAsync(string path, object body) => SendAsync("PUT", path, body);

    public Task<Answer> DeleteAsync(string path) => SendAsync("DELETE", path, null);

    public Task<Answer> ConfigAsync(string document, string query = "", string? etag = null) =>
        GetAsync($"/v1/config/{document}{query}", etag is null ? [] : [("If-None-Match", etag)]);

    /// <summary>Sends a body as it is when it is text, else as JSON.</summary>
    public Task<Answer> SendAsync(string method, string path, object? body, params (string Name, string Value)[] headers)
    {
        var host = path is "/metrics" or "/readyz" ? server.Server.ManagementAddress : server.Server.Address;
        var request = new HttpRequestMessage(new HttpMethod(method), host + path);
        if (token is not null) request.Headers.TryAddWithoutValidation("Authorization", "Bearer " + token);
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        if (body is not null) request.Content = new StringContent(body as string ?? JsonSerializer.Serialize(body), Encoding.UTF8, "application/json");
        // So that the answer to a body that is refused unread is not lost in a broken pipe.
        if (request.Content is { Headers.ContentLength: > 1_000_000 }) request.Headers.ExpectContinue = true;
        return server.SendAsync(request);
    }
}

/// <summary>An answer, read whole.</summary>
internal sealed record Answer(int Status, byte[] Body, KeyValuePair<string, IEnumerable<string>>[] Headers)
{
    public string Text => Encoding.UTF8.GetString(Body);

    public JsonElement Json => JsonElement.Parse(Body);

    public JsonElement Values => Json.GetProperty("values");

    /// <summary>As text that can be compared with <see cref="HeldDocument.Values"/>.</summary>
    public string SortedValues => string.Join('\n', Values.EnumerateObject().OrderBy(v => v.Name, StringComparer.Ordinal).Select(v => $"{v.Name}={v.Value.GetRawText()}"));

    public string ETag => Header("ETag")!;

    public long Release => Json.GetProperty("release").GetInt64();

    public string[] Secrets => Names("secrets");

    public string[] Withheld => Names("withheld");

    public string Code => Json.GetProperty("code").GetString()!;

    public string Detail => Json.GetProperty("detail").GetString()!;

    public string? Header(string name) =>
        Headers.Where(h => string.Equals(h.Key, name, StringComparison.OrdinalIgnoreCase)).SelectMany(h => h.Value).FirstOrDefault();

    public string? Value(string key) => Values.TryGetProperty(key, out var value) ? value.ToString() : null;

    public Answer Ok() => Status is >= 200 and < 300 ? this : throw new ShouldAssertException($"{Status}: {Text}");

    /// <summary>Asserts an error with its problem body.</summary>
    public Answer ShouldBe(int status, string? code = null)
    {
        Status.ShouldBe(status, Text);
        if (status < 400) return this;
        Header("Content-Type").ShouldBe("application/problem+json");
        Json.GetProperty("status").GetInt32().ShouldBe(status);
        Detail.ShouldNotBeNullOrEmpty();
        if (code is not null) Code.ShouldBe(code);
        return this;
    }

    private string[] Names(string name) => [.. Json.GetProperty(name).EnumerateArray().Select(e => e.GetString()!)];
}
