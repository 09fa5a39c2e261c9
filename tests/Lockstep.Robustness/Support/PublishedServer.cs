using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Lockstep.Client;

namespace Lockstep.Robustness;

/// <summary>How a server is set up; each has ports and a data directory of its own.</summary>
internal sealed record ServerSetup
{
    /// <summary>The configuration repository; null: the embedded one.</summary>
    public string? ConfigUrl { get; init; }

    /// <summary>How often it fetches by itself: hardly ever, so that a test decides.</summary>
    public string Refresh { get; init; } = "1h";

    /// <summary>How to log in at <see cref="ConfigUrl"/>: the inside of <c>credentials: { … }</c>.</summary>
    public string? Credentials { get; init; }

    /// <summary>The data directory; null: one of its own.</summary>
    public string? Data { get; init; }

    /// <summary>More of <c>server.yaml</c>, whole top-level entries.</summary>
    public string Settings { get; init; } = "";

    /// <summary>PEM files of the certificate and its key; with them it listens on https.</summary>
    public (string Certificate, string Key)? Tls { get; init; }

    /// <summary>What <see cref="PublishedServer.Client"/> sends with; null: the usual.</summary>
    public Func<HttpClient>? NewClient { get; init; }

    public IReadOnlyList<(string Name, string Value)> Environment { get; init; } = [];

    /// <summary>A program that starts the server with the rest of its arguments, such as <c>prlimit</c>; empty: none.</summary>
    public IReadOnlyList<string> Wrapper { get; init; } = [];
}

/// <summary>The built program, run as its users run it: <c>init</c> once, then <c>serve</c>; stopped with SIGTERM or killed, and started again on the same data.</summary>
internal sealed class PublishedServer : IAsyncDisposable
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(30);

    private readonly ServerSetup _setup;
    private readonly Scratch _scratch = new();
    private readonly StringBuilder _log = new();
    private Process? _process;

    private PublishedServer(ServerSetup setup)
    {
        _setup = setup;
        var scheme = setup.Tls is null ? "http" : "https";
        Address = new($"{scheme}://127.0.0.1:{Tool.FreePort()}");
        Management = new($"{scheme}://127.0.0.1:{Tool.FreePort()}");
        Client = setup.NewClient?.Invoke() ?? new();
        Client.BaseAddress = Address;
        Settings = _scratch.Write("server.yaml", $$"""
            listen: {{Address.GetLeftPart(UriPartial.Authority)}}
            management: {{Management.GetLeftPart(UriPartial.Authority)}}
            data: {{Data}}
            config: { url: {{setup.ConfigUrl ?? "null"}}, branch: main, refresh: {{setup.Refresh}}{{(setup.Credentials is null ? "" : $", credentials: {{ {setup.Credentials} }}")}} }
            {{(setup.Tls is { } tls ? $"tls: {{ certificate: {tls.Certificate}, key: {tls.Key} }}" : "")}}
            {{setup.Settings}}
            """);
    }

    /// <summary>The executable, which the build puts beside the assembly that refers to it.</summary>
    public static string Executable { get; } = Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "lockstep.exe" : "lockstep");

    public Uri Address { get; }

    public Uri Management { get; }

    public string Data => _setup.Data ?? _scratch["data"];

    /// <summary>Path of <c>server.yaml</c>.</summary>
    public string Settings { get; }

    /// <summary>The first administrator's token.</summary>
    public string Token { get; private set; } = "";

    /// <summary>Asks the server with <see cref="Token"/>.</summary>
    public HttpClient Client { get; }

    public int ProcessId => _process?.Id ?? throw new InvalidOperationException("The server does not run.");

    /// <summary>Everything that every start of this server has written so far.</summary>
    public string Log
    {
        get
        {
            lock (_log) return _log.ToString();
        }
    }

    /// <summary>Makes the data directory and the token, serves, and waits until it is ready.</summary>
    public static async Task<PublishedServer> StartAsync(ServerSetup? setup = null)
    {
        var server = await CreateAsync(setup);
        try
        {
            await server.StartAgainAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Serves data that are there, which know the token.</summary>
    public static async Task<PublishedServer> StartOnAsync(string data, string token)
    {
        var server = new PublishedServer(new() { Data = data }) { Token = token };
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        try
        {
            await server.StartAgainAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Makes the data directory and the token; does not serve yet.</summary>
    public static async Task<PublishedServer> CreateAsync(ServerSetup? setup = null)
    {
        var server = new PublishedServer(setup ?? new());
        try
        {
            var made = (await server.RunAsync("init", "--config", server.Settings, "--json")).Ok();
            using var json = JsonDocument.Parse(made);
            server.Token = json.RootElement.GetProperty("token").GetString()!;
            server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", server.Token);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Serves, on the same data and ports, and waits until it is ready.</summary>
    public async Task StartAgainAsync()
    {
        Launch();
        await Tool.UntilAsync(IsReadyAsync, s_deadline, "the server is ready");
    }

    /// <summary>Starts the process and returns at once.</summary>
    public void Launch()
    {
        string[] command = [.. _setup.Wrapper, Executable, "serve", "--config", Settings];
        var process = new Process { StartInfo = Tool.Start(command[0], command[1..], _scratch.Path, _setup.Environment) };
        process.OutputDataReceived += Keep;
        process.ErrorDataReceived += Keep;
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        process.StandardInput.Close();
        _process = process;
    }

    /// <summary>Runs a command of the program against this server, in a directory that holds no settings.</summary>
    public Task<ToolResult> RunAsync(params string[] arguments) => RunAsync(arguments, "");

    public Task<ToolResult> RunAsync(string[] arguments, string input) => Tool.RunAsync(CommandOf(arguments), input);

    /// <summary>The same with another token.</summary>
    public Task<ToolResult> RunAsAsync(string token, params string[] arguments)
    {
        var start = CommandOf(arguments);
        start.Environment["LOCKSTEP_TOKEN"] = token;
        return Tool.RunAsync(start);
    }

    /// <summary>The typed client, with the first administrator's token or another one.</summary>
    public LockstepClient Api(string? token = null) => new(new LockstepClientOptions { Address = Address, Token = _ => new(token ?? Token) });

    public ProcessStartInfo CommandOf(params string[] arguments) => Tool.Start(Executable, arguments, _scratch.Path,
        [.. _setup.Environment, ("LOCKSTEP_ADDR", Address.GetLeftPart(UriPartial.Authority)), ("LOCKSTEP_TOKEN", Token)]);

    /// <summary>What <c>/readyz</c> answers on the management listener.</summary>
    public async Task<(HttpStatusCode Status, string Text)> ReadinessAsync()
    {
        using var answer = await Client.GetAsync(new Uri(Management, "/readyz"));
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync());
    }

    /// <summary>SIGTERM; does not wait for the end.</summary>
    public void Terminate() => Tool.Terminate(_process!);

    public Task<string> MetricsAsync() => Client.GetStringAsync(new Uri(Management, "/metrics"));

    /// <summary>SIGTERM, then the exit status.</summary>
    public async Task<int> StopAsync()
    {
        Tool.Terminate(_process!);
        return await EndedAsync();
    }

    /// <summary>SIGKILL to the one process, as the kernel does it when memory runs out.</summary>
    public async Task KillAsync()
    {
        _process!.Kill();
        await EndedAsync();
    }

    /// <summary>Waits for the process to end by itself; the exit status.</summary>
    public async Task<int> EndedAsync()
    {
        using var process = _process!;
        using var deadline = new CancellationTokenSource(s_deadline);
        try
        {
            await process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException e)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"The server did not end within {s_deadline}. Its log:\n{Log}", e);
        }
        _process = null;
        return process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        if (_process is { } process)
        {
            process.Kill(entireProcessTree: true);
            await EndedAsync();
        }
        _scratch.Dispose();
    }

    private async Task<bool> IsReadyAsync()
    {
        if (_process!.HasExited) throw new InvalidOperationException($"The server ended with status {await EndedAsync()}. Its log:\n{Log}");
        try
        {
            using var answer = await Client.GetAsync(new Uri(Management, "/readyz"));
            return answer.StatusCode == HttpStatusCode.OK;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private void Keep(object sender, DataReceivedEventArgs line)
    {
        if (line.Data is null) return;
        lock (_log) _log.AppendLine(line.Data);
    }
}
