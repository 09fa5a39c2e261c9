using System.Net;
using System.Net.Sockets;
using System.Text;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Robustness;

/// <summary>One process of <c>lockstep run</c> takes over from another; what goes through their output.</summary>
[Trait("speed", "medium")]
public sealed class RunHandoverTests(ITestOutputHelper output) : RunLive
{
    [Fact]
    public async Task A_process_that_does_not_become_ready_is_stopped_and_the_old_one_stays()
    {
        var port = Tool.FreePort();
        // Takes one connection and listens no more: the next process can be told from it.
        const string Once = """
            import os,signal,socket,sys,time
            def term(*_):
                print("gone "+os.environ["TAG"],flush=True); sys.exit(0)
            signal.signal(signal.SIGTERM,term)
            s=socket.socket(); s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1); s.bind(("127.0.0.1",int(sys.argv[1]))); s.listen()
            s.accept(); s.close()
            print("listened "+os.environ["TAG"],flush=True)
            while True: time.sleep(1)
            """;
        var script = Files.Write("once.py", Once);
        await using var running = Start(["--watch", "restart", "--ready", $"tcp:{port}", "--ready-timeout", "5s"], "sh", "-c",
            $"case $TAG in dies) exit 3;; never) echo waits; exec sleep 100;; esac; exec python3 {script} {port}");
        await running.SaysAsync("listened one");
        await FleetShowsAsync(i => i.GetProperty("current").GetBoolean());
        await ChangeAsync("dies");
        await running.SaysAsync("ended with status 3 before it was ready");
        await FleetShowsAsync(i => !i.GetProperty("healthy").GetBoolean());
        await ChangeAsync("never");
        await running.SaysAsync("not ready within 5s");
        running.Output.ShouldNotContain("gone");
        var release = await ChangeAsync("two");
        await running.SaysAsync("listened two");
        await running.SaysAsync("gone one");
        await FleetShowsAsync(i => i.GetProperty("release").GetInt64() >= release && i.GetProperty("current").GetBoolean());
    }

    [Fact]
    public async Task A_new_process_that_ends_at_once_leaves_the_sockets_to_the_old_one()
    {
        var port = Tool.FreePort();
        await using var running = Start(["--watch", "restart", "--listen", $"127.0.0.1:{port}", "--ready", $"http://127.0.0.1:{port}/"], "sh", "-c",
            "[ $TAG = bad ] && exit 3; exec python3 \"$0\"", Files.Write("serve.py", SocketServer));
        await running.SaysAsync("serves one");
        await FleetShowsAsync(_ => true);
        await ChangeAsync("bad");
        await running.SaysAsync("ended with status 3 before it was ready");
        await AskAsync(port);
        await ChangeAsync("two");
        await running.SaysAsync("gone one");
        await AskAsync(port);
    }

    [Fact]
    public async Task A_port_that_the_old_process_has_is_no_proof_for_the_new_one()
    {
        var port = Tool.FreePort();
        const string Own = """
            import http.server,os,sys
            http.server.HTTPServer.allow_reuse_address=True
            s=http.server.HTTPServer(("127.0.0.1",int(sys.argv[1])),http.server.SimpleHTTPRequestHandler)
            print("serves "+os.environ["TAG"],flush=True)
            s.serve_forever()
            """;
        await using var running = Start(["--watch", "restart", "--ready", $"http://127.0.0.1:{port}/"], "python3", Files.Write("own.py", Own), $"{port}");
        await running.SaysAsync("serves one");
        await FleetShowsAsync(i => i.GetProperty("current").GetBoolean());
        await ChangeAsync("two");
        await running.SaysAsync("before it was ready");
        await FleetShowsAsync(i => !i.GetProperty("healthy").GetBoolean());
        await AskAsync(port);
        running.Process.HasExited.ShouldBeFalse(running.Output);
        running.Output.ShouldNotContain("serves two");
    }

    [Theory]
    [InlineData(15)]
    [InlineData(2)]
    public async Task A_request_to_stop_during_a_replacement_is_not_lost(int signal)
    {
        await using var running = Start(["--watch", "restart"], "sh", "-c",
            "trap '' INT; trap 'echo going; for i in $(seq 100); do sleep 0.02; done; exit 9' TERM; echo runs $TAG; while :; do sleep 0.02; done");
        await running.SaysAsync("runs one");
        await FleetShowsAsync(_ => true);
        var change = ChangeAsync("two");
        await running.SaysAsync("going");
        (await running.SignalAsync(signal)).ShouldBe(9);
        await change;
        running.Output.ShouldNotContain("runs two");
    }

    [Fact]
    public async Task A_readiness_that_never_comes_ends_the_first_process_with_7()
    {
        await using var running = Start(["--ready", $"tcp:{Tool.FreePort()}", "--ready-timeout", "300ms"], "sh", "-c", Reporting);
        (await running.EndedAsync()).ShouldBe(7);
        running.Output.ShouldContain("not ready within 300ms");
    }

    [Fact]
    public async Task A_restart_refuses_no_connection()
    {
        var port = Tool.FreePort();
        await using var running = Start(["--watch", "restart", "--listen", $"127.0.0.1:{port}"], "python3", "-c", SocketServer);
        await running.SaysAsync("serves one");
        await FleetShowsAsync(_ => true);
        using var done = new CancellationTokenSource();
        var clients = Enumerable.Range(0, 4).Select(_ => Task.Run(() => LoadAsync(port, done.Token))).ToList();
        for (var n = 1; n <= 10; n++)
        {
            await ChangeAsync($"tag{n}");
            await running.SaysAsync($"serves tag{n}");
            await running.SaysAsync(n == 1 ? "gone one" : $"gone tag{n - 1}");
        }
        await done.CancelAsync();
        var answers = (await Task.WhenAll(clients)).SelectMany(a => a).ToList();
        output.WriteLine($"{answers.Count} requests over ten changes");
        answers.ShouldAllBe(a => a.StartsWith("HTTP/1.1 200", StringComparison.Ordinal));
        (await running.SignalAsync(15)).ShouldBe(0);
    }

    [Fact]
    public async Task The_sockets_are_the_child_s_own_from_3_up()
    {
        var (one, two) = (Tool.FreePort(), Tool.FreePort());
        const string Script = "import os,socket\nn=int(os.environ['LISTEN_FDS'])\nprint(os.environ['LISTEN_PID']==str(os.getpid()),os.environ['LISTEN_FDNAMES'],[socket.socket(fileno=3+i).getsockname()[1] for i in range(n)])";
        var result = await Tool.RunAsync(CommandOf(["--listen", $"127.0.0.1:{one},:{two}"], null, "python3", "-c", Script));
        result.Ok().ShouldBe($"True {one}:{two} [{one}, {two}]\n");
        (await Tool.RunAsync(CommandOf(["--listen", $"127.0.0.1:{Server.Address.Port}"], null, "true"))).ExitCode.ShouldBe(5);
        (await Tool.RunAsync(CommandOf(["--listen", $":{two}"], null, "sh", "-c", "exit 9"))).ExitCode.ShouldBe(9);
        (await Tool.RunAsync(CommandOf(["--listen", $":{two}"], null, "printf", "[%s]", "a b", "--json", ""))).Ok().ShouldBe("[a b][--json][]");
    }

    [Fact]
    public async Task Secrets_in_the_output_are_masked_before_and_after_a_change()
    {
        await using var running = Start(["--watch", "restart"], "sh", "-c", "trap 'echo bye $DB_PASSWORD; exit' TERM; echo is $DB_PASSWORD; echo err $DB_PASSWORD >&2; printf first-; sleep 0.2; printf 'secret half\\n'; while :; do sleep 0.02; done");
        await running.SaysAsync("half");
        await FleetShowsAsync(_ => true);
        await SetSecretAsync("second-secret");
        foreach (var line in new[] { "is ***", "err ***", "*** half" }) await running.SaysAsync(line);
        (await running.SignalAsync(15)).ShouldBe(0);
        running.Output.ShouldNotContain("first-secret");
        running.Output.ShouldNotContain("second-secret");
        running.Output.ShouldContain("bye ***");
        (await Tool.RunAsync(CommandOf(["--no-masking"], null, "sh", "-c", "echo $DB_PASSWORD"))).Ok().ShouldBe("second-secret\n");
        (await Tool.RunAsync(CommandOf(["--keep-token", "--no-masking"], null, "sh", "-c", "echo $LOCKSTEP_TOKEN"))).Ok().ShouldBe(Server.Token + "\n");
    }

    [Fact]
    public async Task A_process_that_is_left_behind_does_not_hold_up_the_end()
    {
        var result = await Tool.RunAsync(CommandOf([], null, "sh", "-c", "sleep 600 >/dev/null & echo $!; echo $DB_PASSWORD; (sleep 600; echo late) & echo $!"));
        var lines = result.Ok().Split('\n');
        foreach (var process in new[] { lines[0], lines[2] }) (await Tool.RunAsync("kill", process)).Ok();
        lines[1].ShouldBe("***");
    }

    [Fact]
    public async Task A_closed_pipe_ends_the_child_as_it_does_without_lockstep()
    {
        var start = CommandOf([], null, "yes");
        var shell = Tool.Start("bash", ["-c", "\"$@\" | head -1; exit ${PIPESTATUS[0]}", "bash", start.FileName, .. start.ArgumentList], start.WorkingDirectory);
        foreach (var (name, value) in start.Environment) shell.Environment[name] = value;
        var result = await Tool.RunAsync(shell);
        (result.ExitCode, result.Output, result.Error).ShouldBe((141, "y\n", ""));
    }

    /// <summary>Serves one connection at a time until SIGTERM, which it takes between two: the one under way is answered.</summary>
    private const string SocketServer = """
        import os,signal,socket,select
        gone=False
        def term(*_):
            global gone
            gone=True
        signal.signal(signal.SIGTERM,term)
        r,w=os.pipe(); os.set_blocking(w,False); signal.set_wakeup_fd(w)
        s=socket.socket(fileno=3); s.setblocking(False)
        tag=os.environ['TAG']; print('serves '+tag,flush=True)
        while not gone:
            select.select([s,r],[],[])
            if gone: break
            try: c,_=s.accept()
            except BlockingIOError: continue
            c.setblocking(True); c.recv(65536)
            c.sendall(('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s'%(len(tag),tag)).encode()); c.close()
        print('gone '+tag,flush=True)
        """;

    private static async Task AskAsync(int port)
    {
        using var http = new HttpClient();
        (await http.GetAsync(new Uri($"http://127.0.0.1:{port}/"))).StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    /// <summary>A connection for each request, as fast as they are answered; the answers, or what went wrong.</summary>
    private static async Task<List<string>> LoadAsync(int port, CancellationToken until)
    {
        var answers = new List<string>();
        while (!until.IsCancellationRequested)
        {
            try
            {
                using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(IPAddress.Loopback, port, CancellationToken.None);
                await using var stream = new NetworkStream(socket);
                await stream.WriteAsync("GET / HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray(), CancellationToken.None);
                using var reader = new StreamReader(stream, Encoding.ASCII);
                answers.Add(await reader.ReadToEndAsync(CancellationToken.None));
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                answers.Add(e.Message);
            }
        }
        return answers;
    }
}
