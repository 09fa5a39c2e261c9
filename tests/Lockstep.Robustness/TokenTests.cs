using System.Globalization;
using System.Text.Json;
using Lockstep.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Robustness;

/// <summary>What holders of tokens that are not good (any more) see at the command line, and that tokens are seen nowhere else.</summary>
[Trait("speed", "medium")]
public sealed class TokenTests
{
    [Fact]
    public async Task Tokens_that_are_not_good_end_with_4_and_the_reason()
    {
        await using var server = await PublishedServer.StartAsync();
        using var api = server.Api();
        var elsewhere = await CreateAsync(server, "elsewhere", "--cidr", "10.1.0.0/16");
        var brief = await CreateAsync(server, "brief", "--expires-in", "1s");
        var narrow = await CreateAsync(server, "narrow", "-s", "payments");

        await DeniedAsync(server, "lks_nonsense");
        var wrong = narrow[..^10] + (narrow[^10] == 'a' ? 'b' : 'a') + narrow[^9..];
        await DeniedAsync(server, wrong);
        await DeniedAsync(server, elsewhere);
        await Tool.UntilAsync(async () => (await server.RunAsAsync(brief, "whoami")).ExitCode != 0, TimeSpan.FromSeconds(30), "the token expires");
        await DeniedAsync(server, brief);

        (await server.RunAsAsync(narrow, "whoami")).ExitCode.ShouldBe(0);
        var outside = await server.RunAsAsync(narrow, "config", "get", "-s", "shop", "-e", "production");
        outside.ExitCode.ShouldBe(4);
        outside.Error.ShouldContain("shop/production");

        (await server.RunAsync("token", "revoke", "narrow", "--yes")).Ok();
        await DeniedAsync(server, narrow);
        var record = (await server.RunAsync("audit", "tail", "-n", "100")).Ok();
        record.ShouldContain("token.revoke");
        foreach (var token in new[] { elsewhere, brief, narrow, server.Token }) (record + server.Log).ShouldNotContain(token[^20..]);
    }

    [Fact]
    public async Task A_rolled_token_is_dead_at_once_and_one_with_grace_is_not()
    {
        await using var server = await PublishedServer.StartAsync();
        var first = await CreateAsync(server, "app");
        var second = await RollAsync(server, "app");
        await DeniedAsync(server, first);
        (await server.RunAsAsync(second, "whoami")).ExitCode.ShouldBe(0);

        var third = await RollAsync(server, "app", "--grace", "1h");
        (await server.RunAsAsync(second, "whoami")).ExitCode.ShouldBe(0);
        (await server.RunAsAsync(third, "whoami")).ExitCode.ShouldBe(0);
        await DeniedAsync(server, first);

        await RollAsync(server, "app");
        await DeniedAsync(server, second);
        await DeniedAsync(server, third);
        await server.KillAsync();
        await server.StartAgainAsync();
        await DeniedAsync(server, third);
    }

    [Fact]
    public async Task Neither_tokens_nor_passwords_nor_values_are_seen_in_process_lists_or_logs()
    {
        const string Password = "swordfish-9174";
        const string Value = "value-of-a-secret-3301";
        await using var remote = await RemoteGit.StartAsync([("shop.yml", "n: 0\npassword: ${secret:shop/db}\n")]);
        remote.Server.Password = Password;
        using var scratch = new Scratch();
        var passwordFile = scratch.Write("password", Password + "\n");
        File.SetUnixFileMode(passwordFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = remote.Url, Credentials = $"username: robot, passwordFile: {passwordFile}" });
        var token = await CreateAsync(server, "app");
        var seen = new ProcessLists();
        var watching = seen.WatchAsync();
        (await server.RunAsync(["secret", "set", "shop/db"], Value)).Ok();
        for (var n = 1; n <= 5; n++)
        {
            await remote.Repository.CommitAsync("shop.yml", $"n: {n}\npassword: ${{secret:shop/db}}\n");
            (await server.RunAsync("refresh")).Ok();
            (await server.RunAsAsync(token, "run", "-s", "shop", "-e", "x", "--no-masking", "--", "sh", "-c", "echo $PASSWORD")).Ok().Trim().ShouldBe(Value);
            (await server.RunAsAsync(token, "secret", "get", "shop/db")).ExitCode.ShouldBeOneOf(0, 4);
        }
        // What fails is told in the log.
        remote.Link.Become(LinkState.Down);
        (await server.RunAsync("refresh")).ExitCode.ShouldBe(6);
        (await server.RunAsAsync(token[..^1], "whoami")).ExitCode.ShouldBe(4);
        await seen.StopAsync(watching);

        seen.Lines.ShouldContain(l => l.Contains("fetch", StringComparison.Ordinal), "the watch saw git at work");
        string[] hidden = [token, server.Token, token.Split('_')[2], Password, Value];
        foreach (var text in hidden)
        {
            seen.Lines.ShouldNotContain(l => l.Contains(text, StringComparison.Ordinal));
            server.Log.ShouldNotContain(text);
        }
    }

    private static Task<string> CreateAsync(PublishedServer server, string name, params string[] more) =>
        TokenOfAsync(server, ["token", "create", name, "--role", "reader", "--json", .. more]);

    private static Task<string> RollAsync(PublishedServer server, string name, params string[] more) =>
        TokenOfAsync(server, ["token", "roll", name, "--yes", "--json", .. more]);

    private static async Task<string> TokenOfAsync(PublishedServer server, string[] command)
    {
        using var json = JsonDocument.Parse((await server.RunAsync(command)).Ok());
        return json.RootElement.GetProperty("token").GetString()!;
    }

    private static async Task DeniedAsync(PublishedServer server, string token)
    {
        var result = await server.RunAsAsync(token, "whoami");
        result.ExitCode.ShouldBe(ErrorCode.Unauthenticated.ExitCode);
        // The same words for all: whoever guesses learns nothing.
        result.Error.ShouldContain("the token is not valid (any more), or not from this address");
        result.Output.ShouldBe("");
        result.Error.ShouldNotContain(token.Length > 30 ? token[^20..] : token);
    }

    /// <summary>The command lines of all processes, looked at again and again.</summary>
    private sealed class ProcessLists
    {
        private volatile bool _stop;

        public HashSet<string> Lines { get; } = [];


        public Task StopAsync(Task watching)
        {
            _stop = true;
            return watching;
        }

        public async Task WatchAsync()
        {
            while (!_stop)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(2), TimeProvider.System);
                foreach (var process in Directory.GetDirectories("/proc").Where(p => int.TryParse(Path.GetFileName(p), NumberStyles.None, CultureInfo.InvariantCulture, out _)))
                {
                    try
                    {
                        Lines.Add(File.ReadAllText(Path.Combine(process, "cmdline")));
                    }
                    catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                    {
                        // It has ended.
                    }
                }
            }
        }
    }
}
