using System.Diagnostics;
using System.Text;

namespace Lockstep.Tests.Support;

/// <summary>A real Git repository with a working tree in a temporary directory, removed at the end. Use <see cref="Path"/> as <c>config.url</c>.</summary>
internal sealed class TestRepository : IDisposable
{
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("lockstep-repository-");

    public TestRepository(string branch = "main")
    {
        Path = System.IO.Path.Combine(_root.FullName, "repository");
        Directory.CreateDirectory(Path);
        Git("init", "--quiet", "--initial-branch=" + branch);
        Git("config", "receive.denyCurrentBranch", "ignore");
    }

    public string Path { get; }

    /// <summary>A repository with these files in its first commit.</summary>
    public static TestRepository With(params (string Path, string Text)[] files)
    {
        var repository = new TestRepository();
        repository.Commit(files);
        return repository;
    }

    /// <summary>The id that HEAD stands at.</summary>
    public string Head => Git("rev-parse", "HEAD");

    /// <summary>Writes files and commits them on the branch checked out; answers the commit.</summary>
    public string Commit(params (string Path, string Text)[] files)
    {
        foreach (var (path, text) in files)
            Write(path, Encoding.UTF8.GetBytes(text));
        return CommitAll();
    }

    public string Commit(string path, byte[] content)
    {
        Write(path, content);
        return CommitAll();
    }

    /// <summary>Deletes files and commits that.</summary>
    public string Delete(params string[] paths)
    {
        foreach (var path in paths)
            File.Delete(System.IO.Path.Combine(Path, path));
        return CommitAll();
    }

    /// <summary>Commits the working tree as it is.</summary>
    public string CommitAll(string message = "change")
    {
        Git("add", "--all");
        Git("commit", "--quiet", "--allow-empty", "--message", message);
        return Head;
    }

    /// <summary>Makes a branch where HEAD stands and checks it out.</summary>
    public void Branch(string name) => Git("checkout", "--quiet", "-b", name);

    public void Checkout(string name) => Git("checkout", "--quiet", name);

    public void DeleteBranch(string name) => Git("branch", "--quiet", "-D", name);

    /// <summary>Makes or moves a tag to where HEAD stands.</summary>
    public void Tag(string name, bool annotated = false)
    {
        if (annotated)
            Git("tag", "--force", "--annotate", "--message", name, name);
        else
            Git("tag", "--force", name);
    }

    public void DeleteTag(string name) => Git("tag", "--delete", name);

    /// <summary>What a force-push does: the branch checked out now stands at the commit.</summary>
    public void ForceTo(string commit) => Git("reset", "--quiet", "--hard", commit);

    public void Write(string path, byte[] content)
    {
        var full = System.IO.Path.Combine(Path, path);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(full)!);
        File.WriteAllBytes(full, content);
    }

    /// <summary>Runs git in the working tree; throws with its message when it fails.</summary>
    public string Git(params string[] arguments) => Run(Path, [], arguments);

    public string GitWithInput(byte[] input, params string[] arguments) => Run(Path, input, arguments);

    /// <summary>Runs git anywhere, without the user's config.</summary>
    public static string Run(string directory, byte[] input, params string[] arguments)
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
        start.Environment["GIT_AUTHOR_NAME"] = start.Environment["GIT_COMMITTER_NAME"] = "Ann Author";
        start.Environment["GIT_AUTHOR_EMAIL"] = start.Environment["GIT_COMMITTER_EMAIL"] = "ann@example.com";
        start.Environment["LC_ALL"] = "C";
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEndAsync();
        process.StandardInput.BaseStream.Write(input);
        process.StandardInput.Close();
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"git {string.Join(' ', arguments)}: {error.GetAwaiter().GetResult()}");
        return output.GetAwaiter().GetResult().TrimEnd('\n');
    }

    public void Dispose()
    {
        try
        {
            _root.Delete(recursive: true);
        }
        catch (IOException)
        {
        }
    }
}
