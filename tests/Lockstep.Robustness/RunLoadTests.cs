using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Robustness;

/// <summary>A real program under a real load generator, over changes of a real repository.</summary>
[Trait("speed", "medium")]
public sealed class RunLoadTests(ITestOutputHelper output) : IDisposable
{
    private const int Changes = 10;

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task Ten_commits_under_load_and_no_request_fails()
    {
        if (SharedFiles.Find("data/petclinic-config.bundle") is not { } bundle) return;
        foreach (var program in new[] { "wrk", "python3" })
        {
            if (await IsThereAsync(program)) continue;
            output.WriteLine($"skipped: install {program} (Debian: apt-get install {program})");
            return;
        }
        var repository = await ConfigRepository.CloneAsync(bundle, _scratch["petclinic.git"]);
        var config = (await repository.GitAsync("show", "main:vets-service.yml")).Ok();
        await repository.CommitAsync("vets-service.yml", Tagged(config, 0));
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = repository.Path });
        var port = Tool.FreePort();
        await using var running = Running.Start(server.CommandOf("run", "-s", "vets-service", "-e", "docker", "--listen", $"127.0.0.1:{port}", "--stop-timeout", "1m",
            "--watch", "restart", "--", "python3", _scratch.Write("server.py", HttpServer)));
        await running.SaysAsync("serves tag0.");
        // It ends when it is told to: the changes take as long as they take.
        await using var load = Running.Start(Tool.Start("wrk", ["-t1", "-c8", "-d30m", "--timeout", "60s", $"http://127.0.0.1:{port}/"]));
        for (var n = 1; n <= Changes; n++)
        {
            await repository.CommitAsync("vets-service.yml", Tagged(config, n));
            (await server.Client.PostAsync("/v1/refresh", null)).EnsureSuccessStatusCode();
            await running.SaysAsync($"serves tag{n}.");
            await running.SaysAsync($"gone tag{n - 1}.");
        }
        (await load.SignalAsync(2)).ShouldBe(0);
        await load.SaysAsync("Requests/sec");
        output.WriteLine(load.Output);
        load.Output.ShouldNotContain(" 0 requests in");
        load.Output.ShouldNotContain("Socket errors");
        load.Output.ShouldNotContain("Non-2xx");
        (await running.SignalAsync(15)).ShouldBe(0);
    }

    private static string Tagged(string config, int n) => $"{config}\n---\ntag: tag{n}.\n";

    private static async Task<bool> IsThereAsync(string program) => (await Tool.RunAsync("sh", "-c", $"command -v {program}")).ExitCode == 0;

    /// <summary>Serves on the socket it is handed. On SIGTERM it accepts no more, and answers on each connection that it has once more, with the word that it was the last.</summary>
    private const string HttpServer = """
        import http.server,os,signal,socket,threading
        tag=os.environ['TAG']; gone=threading.Event()
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version='HTTP/1.1'; disable_nagle_algorithm=True; wbufsize=-1
            def do_GET(self):
                self.send_response(200); self.send_header('Content-Length',str(len(tag)))
                if gone.is_set(): self.send_header('Connection','close')
                self.end_headers(); self.wfile.write(tag.encode())
            def log_message(self,*_): pass
        class Server(http.server.ThreadingHTTPServer):
            daemon_threads=False
        server=Server(('',0),Handler,bind_and_activate=False)
        server.socket.close(); server.socket=socket.socket(fileno=3); server.socket.setblocking(False)
        def term(*_):
            gone.set(); threading.Thread(target=server.shutdown).start()
        signal.signal(signal.SIGTERM,term)
        print('serves '+tag,flush=True)
        server.serve_forever(0.05)
        server.server_close()
        print('gone '+tag,flush=True)
        """;
}
