using System.Diagnostics;
using Lockstep.Robustness;

namespace Lockstep.Benchmarks;

/// <summary>A server to stand beside: started on a free port of the loopback address, ended by its id.</summary>
internal sealed class Peer : IAsyncDisposable
{
    private static readonly HttpClient s_client = new();

    private readonly Process _process;

    private Peer(ProcessStartInfo start, Uri address)
    {
        Address = address;
        _process = Process.Start(start)!;
        _process.OutputDataReceived += (_, _) => { };
        _process.ErrorDataReceived += (_, _) => { };
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public Uri Address { get; }

    public int ProcessId => _process.Id;

    public static async Task<Peer> StartBareAsync(string bodyFile)
    {
        var port = Tool.FreePort();
        return await ReadyAsync(new(BareServer.Command(port, bodyFile), new($"http://127.0.0.1:{port}/")));
    }

    /// <summary>Kestrel alone with WebSockets, see <see cref="BareServer"/>.</summary>
    public static async Task<Peer> StartBareWebSocketsAsync()
    {
        var port = Tool.FreePort();
        return await ReadyAsync(new(BareServer.WebSocketsCommand(port), new($"http://127.0.0.1:{port}/")));
    }

    /// <summary>One etcd as it comes, which syncs every write to the disk; null when it is not installed.</summary>
    public static async Task<Peer?> StartEtcdAsync(Scratch scratch)
    {
        if (!File.Exists("/usr/bin/etcd")) return null;
        var (clients, peers) = ($"http://127.0.0.1:{Tool.FreePort()}", $"http://127.0.0.1:{Tool.FreePort()}");
        var start = Tool.Start("/usr/bin/etcd", ["--data-dir", scratch["etcd"], "--logger", "zap", "--log-level", "error",
            "--listen-client-urls", clients, "--advertise-client-urls", clients,
            "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", $"default={peers}"]);
        return await ReadyAsync(new(start, new(clients + "/health")));
    }

    /// <summary>nginx with one static file, a worker per core, without a log; null when it is not installed.</summary>
    public static async Task<Peer?> StartNginxAsync(Scratch scratch, string bodyFile)
    {
        var program = new[] { "/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx", "/opt/homebrew/bin/nginx" }.FirstOrDefault(File.Exists);
        if (program is null) return null;
        var port = Tool.FreePort();
        var settings = scratch.Write("nginx/nginx.conf", $$"""
            daemon off;
            pid {{scratch["nginx/nginx.pid"]}};
            error_log stderr error;
            {{(Environment.UserName == "root" ? "user root;" : "")}}
            worker_processes auto;
            events { worker_connections 1024; }
            http {
              access_log off;
              sendfile on;
              open_file_cache max=16;
              keepalive_requests 1000000000;
              client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
              server {
                listen 127.0.0.1:{{port}};
                location = /{{Path.GetFileName(bodyFile)}} { root {{Path.GetDirectoryName(bodyFile)}}; default_type application/json; }
              }
            }
            """);
        var start = Tool.Start(program, ["-p", scratch["nginx"], "-e", "stderr", "-c", settings]);
        return await ReadyAsync(new(start, new($"http://127.0.0.1:{port}/{Path.GetFileName(bodyFile)}")));
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited) Tool.Terminate(_process);
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        try
        {
            await _process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            _process.Kill(entireProcessTree: true);
        }
        _process.Dispose();
    }

    private static async Task<Peer> ReadyAsync(Peer peer)
    {
        try
        {
            await Tool.UntilAsync(() => peer._process.HasExited
                ? throw new InvalidOperationException($"the peer at {peer.Address} ended with status {peer._process.ExitCode}")
                : AnswersAsync(s_client, peer.Address), TimeSpan.FromSeconds(20), $"an answer from {peer.Address}");
            return peer;
        }
        catch
        {
            await peer.DisposeAsync();
            throw;
        }
    }

    /// <summary>Whether it answers 200 now.</summary>
    public static async Task<bool> AnswersAsync(HttpClient client, Uri address)
    {
        try
        {
            using var answer = await client.GetAsync(address);
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
