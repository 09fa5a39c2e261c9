using System.Diagnostics;
using Lockstep.Tests.Config.Git;

namespace Lockstep.Robustness;

/// <summary>A repository that is reached as over a network: <c>git http-backend</c> behind a link that can fail.</summary>
internal sealed class RemoteGit : IAsyncDisposable
{
    private readonly Scratch _scratch = new();

    private RemoteGit()
    {
    }

    public ConfigRepository Repository { get; private set; } = null!;

    public GitHttpServer Server { get; private set; } = null!;

    public FaultyLink Link { get; private set; } = null!;

    public string Url => $"http://127.0.0.1:{Link.Port}/config.git";

    public static async Task<RemoteGit> StartAsync(IEnumerable<(string Path, string? Text)> files)
    {
        var remote = new RemoteGit();
        remote.Repository = await ConfigRepository.CreateAsync(remote._scratch["config.git"], files);
        (await remote.Repository.GitAsync("config", "http.receivepack", "true")).Ok();
        remote.Server = await GitHttpServer.StartAsync(remote._scratch.Path);
        remote.Link = new FaultyLink(new Uri(remote.Server.Url).Port);
        return remote;
    }

    public async ValueTask DisposeAsync()
    {
        await Link.DisposeAsync();
        await Server.DisposeAsync();
        _scratch.Dispose();
    }
}

/// <summary>A person's working copy.</summary>
internal sealed class WorkingCopy(string path) : IDisposable
{
    private static readonly (string, string)[] s_environment =
    [
        ("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null"), ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "Test"), ("GIT_AUTHOR_EMAIL", "test@example.org"), ("GIT_COMMITTER_NAME", "Test"), ("GIT_COMMITTER_EMAIL", "test@example.org"),
    ];

    public static async Task<WorkingCopy> CloneAsync(string url, string path)
    {
        (await Tool.RunAsync(Git(["clone", "--quiet", url, path], null))).Ok();
        return new(path);
    }

    /// <summary>Commits one file and pushes; the commit.</summary>
    public async Task<string> PushAsync(string file, string text)
    {
        await File.WriteAllTextAsync(Path.Combine(path, file), text);
        (await GitAsync("add", file)).Ok();
        (await GitAsync("commit", "--quiet", "-m", "change")).Ok();
        (await GitAsync("push", "--quiet", "origin", "HEAD")).Ok();
        return (await GitAsync("rev-parse", "HEAD")).Ok().Trim();
    }

    public void Dispose() => Directory.Delete(path, recursive: true);

    private Task<ToolResult> GitAsync(params string[] arguments) => Tool.RunAsync(Git(arguments, path));

    private static ProcessStartInfo Git(string[] arguments, string? directory) => Tool.Start("git", arguments, directory, s_environment);
}
