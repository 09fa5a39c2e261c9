using System.Globalization;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Gate;

public sealed class L11_Read_budget
{
    [Fact]
    [Trait("speed", "medium")]
    public async Task Two_hundred_first_readers_of_many_documents_cost_one_read_of_each_secret()
    {
        using var repository = new TestRepository();
        repository.Commit(
            [("application.yml", "shared: ${secret:one}\n"), .. Enumerable.Range(0, 20).Select(i => ($"s{i}.yml", "own: ${secret:one}-${secret:two}\n"))]);
        await using var server = await TestServer.StartAsync(repository);
        foreach (var secret in new[] { "one", "two" }) (await server.PutAsync(secret, "v-" + secret)).Ok();
        // A server that has read nothing yet, with a value that only the first reading finds: later ones would find it damaged.
        await server.RestartAsync();
        var reader = await server.AsAsync("reader");
        var first = (await reader.ConfigAsync("s0/first")).Ok();
        first.Value("own").ShouldBe("v-one-v-two");
        await server.ExecuteAsync("UPDATE secret_versions SET ciphertext = wrapped_key");
        var answers = await Task.WhenAll(Enumerable.Range(0, 200).Select(i =>
            reader.ConfigAsync(string.Create(CultureInfo.InvariantCulture, $"s{i % 20}/{(i % 40 < 20 ? "dev" : "prod")}"))));
        answers.ShouldAllBe(a => a.Status == 200 && a.Value("own") == "v-one-v-two");
        server.Gate.Lane.Live.Documents.Count.ShouldBe(41);
    }
}
