using System.Net.Sockets;
using System.Text;

namespace Lockstep.Compat.Git;

/// <summary>
/// This program as git's hook: hands what git tells it to the server that started git, prints the answer for the one who pushes, and ends as the server says. Without
/// a server nothing is accepted.
/// </summary>
internal static class GitHook
{
    /// <summary>The first argument that makes this program the hook; the second is the hook's name.</summary>
    public const string Verb = "git-hook";

    /// <summary>Names the socket of the push.</summary>
    public const string SocketVariable = "LOCKSTEP_PUSH_SOCKET";

    /// <summary>The exit status without a socket: how the server finds out that the hook can be executed at all.</summary>
    public const int NoSocket = 76;

    /// <summary>An answer's line that is for people begins so; the one with the decision does not.</summary>
    public const char Told = '>';

    public const string Accepted = "accepted";

    public static async Task<int> RunAsync(string hook)
    {
        if (Environment.GetEnvironmentVariable(SocketVariable) is not { Length: > 0 } path) return NoSocket;
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), CancellationToken.None);
            await using var stream = new NetworkStream(socket);
            await stream.WriteAsync(Encoding.UTF8.GetBytes($"{hook}\n{Environment.GetEnvironmentVariable("GIT_OBJECT_DIRECTORY")}\n"), CancellationToken.None);
            await using var refs = Console.OpenStandardInput();
            await refs.CopyToAsync(stream, CancellationToken.None);
            socket.Shutdown(SocketShutdown.Send);
            using var answer = new StreamReader(stream, Encoding.UTF8);
            while (await answer.ReadLineAsync(CancellationToken.None) is { } line)
            {
                if (line.Length > 0 && line[0] == Told) await Console.Error.WriteLineAsync(line.AsMemory(1), CancellationToken.None);
                else return line == Accepted ? 0 : 1;
            }
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            // The server is gone; what follows says so.
        }
        await Console.Error.WriteLineAsync("error: the server ended before it had checked the push; nothing has changed, push again".AsMemory(), CancellationToken.None);
        return 1;
    }
}
