using System.Globalization;
using System.Net.Sockets;
using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>How a process shows that it is ready: a URL that answers with 2xx, or a TCP port that takes a connection.</summary>
internal sealed record ReadyCheck(Uri Target)
{
    private const string Tcp = "tcp";

    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan s_attempt = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_probe = TimeSpan.FromSeconds(1);

    /// <summary>Reads a URL, <c>tcp:PORT</c> or <c>tcp:HOST:PORT</c>.</summary>
    public static ReadyCheck Parse(string text)
    {
        if (text.StartsWith("tcp:", StringComparison.Ordinal))
        {
            var host = text[4..];
            var colon = host.LastIndexOf(':');
            if (ushort.TryParse(host.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port > 0
                && Uri.TryCreate($"{Tcp}://{(colon < 0 ? "127.0.0.1" : host[..colon])}:{port}", UriKind.Absolute, out var endpoint))
                return new(endpoint);
        }
        else if (Uri.TryCreate(text, UriKind.Absolute, out var url) && (url.Scheme == Uri.UriSchemeHttp || url.Scheme == Uri.UriSchemeHttps))
        {
            return new(url);
        }
        throw new LockstepException(ErrorCode.BadRequest, "--ready is a URL (http://127.0.0.1:8080/ready), tcp:PORT or tcp:HOST:PORT");
    }

    /// <summary>Whether somebody is there already, whatever the answer: only a refused connection says that nobody is.</summary>
    public async Task<bool> IsTakenAsync(TimeProvider time)
    {
        using var attempt = new CancellationTokenSource(s_probe, time);
        using var http = NewClient();
        try
        {
            _ = Target.Scheme == Tcp ? await ConnectsAsync(attempt.Token) : await AnswersAsync(http, attempt.Token);
            return true;
        }
        catch (Exception e) when (e is HttpRequestException or SocketException or IOException or OperationCanceledException)
        {
            return (e as SocketException ?? e.InnerException as SocketException)?.SocketErrorCode != SocketError.ConnectionRefused;
        }
    }

    /// <summary>Asks until the answer is yes, so many times in a row.</summary>
    public async Task WaitAsync(int times, TimeProvider time, CancellationToken cancellationToken)
    {
        var left = times;
        using var http = NewClient();
        while (true)
        {
            using (var attempt = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken))
            {
                attempt.CancelAfter(s_attempt);
                try
                {
                    left = (Target.Scheme == Tcp ? await ConnectsAsync(attempt.Token) : await AnswersAsync(http, attempt.Token)) ? left - 1 : times;
                    if (left == 0) return;
                }
                catch (Exception e) when (e is HttpRequestException or SocketException or IOException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
                {
                    left = times;
                }
            }
            await Task.Delay(s_pause, time, cancellationToken);
        }
    }

    private static HttpClient NewClient() =>
        new(new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false, UseCookies = false }) { Timeout = Timeout.InfiniteTimeSpan };

    private async Task<bool> ConnectsAsync(CancellationToken cancellationToken)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(Target.Host.Trim('[', ']'), Target.Port, cancellationToken);
        return true;
    }

    private async Task<bool> AnswersAsync(HttpClient http, CancellationToken cancellationToken)
    {
        // A connection of its own each time: one that is kept could lead to the process before.
        using var request = new HttpRequestMessage(HttpMethod.Get, Target) { Headers = { ConnectionClose = true } };
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        return response.IsSuccessStatusCode;
    }
}
