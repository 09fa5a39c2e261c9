using System.Diagnostics;
using System.Text;

namespace Lockstep.Tests.Support;

/// <summary>A clone of a server's repository by a real git client, with the token as the password. Removed at the end.</summary>
internal sealed partial class GitClone : IDisposable
{
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("lockstep-clone-");

    private GitClone(string url) => (Url, Path) = (url, System.IO.Path.Combine(_root.FullName, "clone"));

    public string Url { get; }

    public string Path { get; }

    public string Head => Run("rev-parse", "HEAD");

    /// <summary>What a client needs to know; nothing is fetched yet.</summary>
    public static GitClone Of(string address, string token) => new($"{address.Replace("://", $"://any:{token}@", StringComparison.Ordinal)}/git/config.git");

    /// <summary>Of an empty repository it is empty too.</summary>
    public GitClone Clone()
    {
        var (exit, output) = Execute(_root.FullName, [], "clone", "--quiet", Url, Path);
        return exit == 0 ? this : throw new InvalidOperationException(output);
    }

    public void Write(string path, string text)
    {
        var full = System.IO.Path.Combine(Path, path);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
    }

    /// <summary>Commits files; null removes one.</summary>
    public string Commit(params (string Path, string? Text)[] files)
    {
        foreach (var (path, text) in files)
            if (text is null) File.Delete(System.IO.Path.Combine(Path, path));
            else Write(path, text);
        Run("add", "--all");
        Run("commit", "--quiet", "--allow-empty", "--message", "change " + string.Join(' ', files.Select(f => f.Path)));
        return Head;
    }

    /// <summary>Pushes; what git says, on both streams.</summary>
    public (int Exit, string Output) Push(params string[] arguments) => Try(["push", "origin", .. arguments.Length == 0 ? ["HEAD:main"] : arguments]);

    /// <summary>Commits files and pushes them to main, which must be accepted.</summary>
    public string Deploy(params (string Path, string? Text)[] files)
    {
        Commit(files);
        var (exit, output) = Push();
        return exit == 0 ? output : throw new InvalidOperationException(output);
    }

    public (int Exit, string Output) Try(params string[] arguments) => Execute(Path, [], arguments);

    public string Run(params string[] arguments) => RunWithInput([], arguments);

    public string RunWithInput(byte[] input, params string[] arguments)
    {
        var (exit, output) = Execute(Path, input, arguments);
        return exit == 0 ? output.TrimEnd('\n') : throw new InvalidOperationException($"git {string.Join(' ', arguments)}: {output}");
    }

    public void Dispose() => _root.Delete(recursive: true);

    public static (int Exit, string Output) Execute(string directory, byte[] input, params string[] arguments)
    {
        using var process = Start(directory, arguments);
        var text = new StringBuilder();
        void Add(object sender, DataReceivedEventArgs e)
        {
            if (e.Data is null) return;
            lock (text) text.Append(e.Data).Append('\n');
        }
        process.OutputDataReceived += Add;
        process.ErrorDataReceived += Add;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        process.StandardInput.BaseStream.Write(input);
        process.StandardInput.Close();
        process.WaitForExit();
        lock (text) return (process.ExitCode, text.ToString());
    }

    public static Process Start(string directory, params string[] arguments)
    {
        var start = new ProcessStartInfo("git", arguments)
        {
            WorkingDirectory = directory,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var name in start.Environment.Keys.Where(k => k.StartsWith("GIT_", StringComparison.Ordinal)).ToArray())
            start.Environment.Remove(name);
        start.Environment["GIT_CONFIG_GLOBAL"] = "/dev/null";
        start.Environment["GIT_CONFIG_NOSYSTEM"] = "1";
        start.Environment["GIT_TERMINAL_PROMPT"] = "0";
        start.Environment["GIT_AUTHOR_NAME"] = start.Environment["GIT_COMMITTER_NAME"] = "Ann Author";
        start.Environment["GIT_AUTHOR_EMAIL"] = start.Environment["GIT_COMMITTER_EMAIL"] = "ann@example.com";
        start.Environment["LC_ALL"] = "C";
        return Process.Start(start)!;
    }
}
