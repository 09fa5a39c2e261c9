using System.Globalization;
using Lockstep.Storage;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;
using Xunit.Abstractions;
using PostgresServer = Lockstep.Tests.Support.PostgresServer;

namespace Lockstep.Robustness;

/// <summary>One server to a database, and nobody else writes into it unseen.</summary>
[Trait("speed", "medium")]
public sealed class OneWriterTests(ITestOutputHelper output)
{
    [Fact]
    public async Task A_second_server_on_the_data_directory_is_refused_with_the_first_one_s_pid()
    {
        await using var server = await PublishedServer.StartAsync();
        var second = await SecondAsync(server.Data, "");
        second.ExitCode.ShouldNotBe(0);
        second.Error.ShouldContain(server.Data);
        second.Error.ShouldContain("pid " + server.ProcessId.ToString(CultureInfo.InvariantCulture));
        second.Error.ShouldNotContain("   at ");
        (await server.RunAsync("whoami")).ExitCode.ShouldBe(0);

        (await server.RunAsync("init", "--config", server.Settings, "--roll")).ExitCode.ShouldNotBe(0, "init must not write beside a server");
        await server.KillAsync();
        await server.StartAgainAsync();
    }

    [Fact]
    public async Task A_second_server_on_the_PostgreSQL_database_is_refused()
    {
        if (PostgresServer.Missing is { } missing)
        {
            output.WriteLine(missing);
            return;
        }
        using var scratch = new Scratch();
        var repository = await ConfigRepository.CreateAsync(scratch["config.git"], [("a.yml", "a: 1\n")]);
        var settings = $"database: {await PostgresServer.CreateDatabaseAsync()}";
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = repository.Path, Settings = settings });
        var second = await SecondAsync(scratch["data"], $"config: {{ url: {repository.Path} }}\n{settings}");
        second.ExitCode.ShouldNotBe(0);
        second.Error.ShouldContain("another");
        second.Error.ShouldNotContain("   at ");
        (await server.RunAsync("config", "get", "-s", "a", "-e", "x")).ExitCode.ShouldBe(0);

        await server.KillAsync();
        await server.StartAgainAsync();
    }

    [Theory]
    [InlineData("UPDATE audit SET entry = replace(entry, 'secret.', 'sacred.') WHERE seq = (SELECT MAX(seq) - 1 FROM audit)")]
    [InlineData("UPDATE audit SET action = 'nothing' WHERE seq = (SELECT MAX(seq) - 1 FROM audit)")]
    [InlineData("DELETE FROM audit WHERE seq = (SELECT MAX(seq) - 1 FROM audit)")]
    public async Task An_edited_record_is_found_by_audit_verify(string edit)
    {
        await using var server = await PublishedServer.StartAsync();
        for (var n = 0; n < 5; n++) (await server.RunAsync(["secret", "set", $"s/{n}"], "value")).Ok();
        (await server.RunAsync("audit", "verify")).Ok().ShouldContain("valid: ");
        (await server.StopAsync()).ShouldBe(0);

        await using (var database = await Database.OpenAsync(server.Data, null, NullLoggerFactory.Instance, TimeProvider.System, CancellationToken.None))
            (await database.WriteAsync(s => s.Execute(edit), CancellationToken.None)).ShouldBe(1);

        await server.StartAgainAsync();
        var verified = await server.RunAsync("audit", "verify");
        verified.ExitCode.ShouldBe(1);
        verified.Output.ShouldContain("NOT valid: entry ");
        (await server.RunAsync("audit", "verify", "--json")).Output.ShouldContain("\"valid\":false");
    }

    private static async Task<ToolResult> SecondAsync(string data, string settings)
    {
        using var scratch = new Scratch();
        var file = scratch.Write("second.yaml", $"listen: http://127.0.0.1:{Tool.FreePort()}\nmanagement: http://127.0.0.1:{Tool.FreePort()}\ndata: {data}\n{settings}\n");
        return await Tool.RunAsync(Tool.Start(PublishedServer.Executable, ["serve", "--config", file], scratch.Path));
    }
}
