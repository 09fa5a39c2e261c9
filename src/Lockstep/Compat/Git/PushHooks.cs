using System.ComponentModel;
using System.Diagnostics;
using System.Text;
using Lockstep.Client;

namespace Lockstep.Compat.Git;

/// <summary>
/// The directory with the hooks that git runs in a push, and with the sockets of the pushes under way. Git leaves out hooks that it can't execute without a word, so
/// that they are tried once before the first push.
/// </summary>
internal sealed class PushHooks(string dataDirectory)
{
    private static readonly string[] s_names = ["pre-receive", "post-receive"];
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    // errno, the same on Linux and macOS.
    private const int TextFileBusy = 26;

    // Of sun_path, less the longest name of a socket.
    private const int MaxPath = 100 - 40;

    // Of all servers of a process: it is held for an instant, or once for the trial.
    private static readonly SemaphoreSlim s_once = new(1, 1);

    private bool _ready;

    /// <summary>Where git looks for hooks.</summary>
    public string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetFullPath(dataDirectory), "git-hooks");

    /// <summary>A new place for the socket of one push.</summary>
    public PushSocket NewSocket() => new(Path.Length <= MaxPath ? null : Directory.CreateTempSubdirectory("lockstep-").FullName, Path);

    /// <summary>Makes sure that the hooks are there and can be executed.</summary>
    /// <exception cref="LockstepException">unavailable: nothing may be pushed then.</exception>
    public async Task EnsureAsync(TimeProvider time, CancellationToken cancellationToken)
    {
        await s_once.WaitAsync(cancellationToken);
        try
        {
            var missing = !s_names.All(name => File.Exists(System.IO.Path.Combine(Path, name)));
            if (_ready && !missing) return;
            Write();
            await TryAsync(time, cancellationToken);
            _ready = true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or Win32Exception)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"the hooks in {Path}, which check a push, can't be executed: {e.Message}; see that the data directory is not mounted noexec", e);
        }
        finally
        {
            s_once.Release();
        }
    }

    private void Write()
    {
        if (OperatingSystem.IsWindows()) throw new IOException("this system is not supported for it");
        const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory(Path, Private);
        // Sockets of a process that was killed.
        foreach (var file in Directory.GetFiles(Path, "push-*")) File.Delete(file);
        var script = new StringBuilder("#!/bin/sh\n# Written by Lockstep; asks it whether a push may be accepted.\n");
        // A program that is not published whole finds its runtime by these; git is started without them.
        foreach (var name in new[] { "DOTNET_ROOT", "DOTNET_ROOT_X64", "DOTNET_ROOT_ARM64", "DOTNET_ROLL_FORWARD" })
            if (Environment.GetEnvironmentVariable(name) is { Length: > 0 } value) script.Append($"export {name}={Quote(value)}\n");
        script.Append("exec ").Append(string.Join(' ', Program().Select(Quote))).Append($" {GitHook.Verb} ");
        foreach (var name in s_names)
        {
            var path = System.IO.Path.Combine(Path, name);
            File.WriteAllText(path + ".new", $"{script}{name}\n");
            File.SetUnixFileMode(path + ".new", Private);
            File.Move(path + ".new", path, overwrite: true);
        }
    }

    private async Task TryAsync(TimeProvider time, CancellationToken cancellationToken)
    {
        foreach (var name in s_names)
        {
            var start = new ProcessStartInfo(System.IO.Path.Combine(Path, name)) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardError = true };
            // As when git runs it: nothing of our own but where programs are found.
            start.Environment.TryGetValue("PATH", out var programs);
            start.Environment.Clear();
            if (programs is not null) start.Environment["PATH"] = programs;
            using var process = await StartAsync(start, time, cancellationToken);
            process.StandardInput.Close();
            using var timeout = new CancellationTokenSource(s_patience, time);
            using var both = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
            try
            {
                await process.WaitForExitAsync(both.Token);
            }
            catch (OperationCanceledException e)
            {
                process.Kill(entireProcessTree: true);
                cancellationToken.ThrowIfCancellationRequested();
                throw new IOException($"{name} did not end within {s_patience.TotalSeconds:0} s", e);
            }
            if (process.ExitCode == GitHook.NoSocket) continue;
            var said = await process.StandardError.ReadToEndAsync(cancellationToken);
            throw new IOException($"{name} ended with status {process.ExitCode} {said.AsSpan(0, Math.Min(said.Length, 200))}");
        }
    }

    private static async Task<Process> StartAsync(ProcessStartInfo start, TimeProvider time, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return Process.Start(start)!;
            }
            catch (Win32Exception e) when (e.NativeErrorCode == TextFileBusy && attempt < 200)
            {
                // Whatever this process started while the file was written holds it open for an instant.
                await Task.Delay(TimeSpan.FromMilliseconds(20), time, cancellationToken);
            }
        }
    }

    /// <summary>This program, also where it runs as <c>dotnet lockstep.dll</c>.</summary>
    private static string[] Program()
    {
        var path = Environment.ProcessPath!;
        if (System.IO.Path.GetFileNameWithoutExtension(path) != "dotnet") return [path];
        var beside = System.IO.Path.Combine(AppContext.BaseDirectory, "lockstep");
        return File.Exists(beside) ? [beside] : [path, beside + ".dll"];
    }

    private static string Quote(string text) => "'" + text.Replace("'", @"'\''", StringComparison.Ordinal) + "'";
}

/// <summary>Where the socket of one push is: with the hooks, or, when that path is too long for one, in a directory of its own.</summary>
internal sealed class PushSocket(string? ownDirectory, string sharedDirectory) : IDisposable
{
    public string Path { get; } = System.IO.Path.Combine(ownDirectory ?? sharedDirectory, $"push-{Guid.NewGuid():N}"[..21]);

    public void Dispose()
    {
        File.Delete(Path);
        if (ownDirectory is not null) Directory.Delete(ownDirectory);
    }
}
