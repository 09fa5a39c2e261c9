using System.Collections.Concurrent;
using System.Globalization;
using Lockstep.Config.Git;
using Lockstep.Settings;
using Microsoft.Extensions.Logging;

namespace Lockstep.Tests.Config.Git;

/// <summary>A data directory of its own, the repositories opened in it, and what they logged.</summary>
internal sealed class GitBench : IAsyncDisposable, ILogger
{
    private readonly List<GitRepository> _opened = [];
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("lockstep-git-");

    public string Data => Path.Combine(_root.FullName, "data");

    public string Mirror => Path.Combine(Data, "mirror.git");

    public ConcurrentQueue<string> Log { get; } = [];

    public GitLimits Limits { get; set; } = GitLimits.Default;

    public Task<GitRepository> OpenAsync(string? url = null, string branch = "main", GitCredentials? credentials = null) =>
        OpenAsync(new ConfigOptions { Url = url, Branch = branch, Credentials = credentials }, CancellationToken.None);

    public async Task<GitRepository> OpenAsync(ConfigOptions options, CancellationToken cancellationToken)
    {
        var repository = await GitRepository.OpenAsync(options, Data, (this, TimeProvider.System, Limits), cancellationToken);
        _opened.Add(repository);
        return repository;
    }

    public string File(string name, string text)
    {
        var path = Path.Combine(_root.FullName, name);
        System.IO.File.WriteAllText(path, text);
        return path;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var repository in _opened)
            await repository.DisposeAsync();
        _root.Delete(recursive: true);
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Log.Enqueue(formatter(state, exception));

    /// <summary>The command lines of this machine's processes that hold the text; on systems without /proc none.</summary>
    public static string[] CommandLinesWith(string text) =>
    [
        .. Directory.Exists("/proc")
            ? Directory.EnumerateDirectories("/proc").Where(d => int.TryParse(Path.GetFileName(d), NumberStyles.None, CultureInfo.InvariantCulture, out _))
                .Select(CommandLine).Where(line => line.Contains(text, StringComparison.Ordinal))
            : [],
    ];

    public static async Task<bool> EventuallyAsync(Func<bool> condition)
    {
        var deadline = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            if (TimeProvider.System.GetElapsedTime(deadline) > TimeSpan.FromSeconds(10))
                return false;
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        }

        return true;
    }

    private static string CommandLine(string process)
    {
        try
        {
            return System.IO.File.ReadAllText(Path.Combine(process, "cmdline"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
