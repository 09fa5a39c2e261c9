using System.Text;

namespace Lockstep.Robustness;

/// <summary>A bare repository that is written with <c>git fast-import</c>, which makes commits among many files in one short process.</summary>
internal sealed class ConfigRepository(string path)
{
    private static readonly (string, string)[] s_environment =
        [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null"), ("GIT_TERMINAL_PROMPT", "0")];

    private int _commits;

    public string Path { get; } = path;

    public static async Task<ConfigRepository> CreateAsync(string path, IEnumerable<(string Path, string? Text)> files)
    {
        var repository = new ConfigRepository(path);
        Directory.CreateDirectory(path);
        (await repository.GitAsync("init", "--quiet", "--bare", "--initial-branch=main")).Ok();
        await repository.CommitAsync(files);
        return repository;
    }

    /// <summary>A copy of a repository or a bundle.</summary>
    public static async Task<ConfigRepository> CloneAsync(string from, string path)
    {
        (await Tool.RunAsync(Tool.Start("git", ["clone", "--quiet", "--mirror", from, path], null, s_environment))).Ok();
        return new ConfigRepository(path) { _commits = 1 };
    }

    /// <summary>One commit on main: files added or replaced; text null removes one.</summary>
    public async Task<string> CommitAsync(IEnumerable<(string Path, string? Text)> files, string message = "change")
    {
        var stream = new StringBuilder();
        stream.Append("commit refs/heads/main\ncommitter Test <test@example.org> ").Append(1_700_000_000 + _commits).Append(" +0000\n");
        AppendData(stream, message);
        if (_commits > 0) stream.Append("from refs/heads/main^0\n");
        foreach (var (path, text) in files)
        {
            if (text is null)
            {
                stream.Append("D ").Append(path).Append('\n');
                continue;
            }
            stream.Append("M 100644 inline ").Append(path).Append('\n');
            AppendData(stream, text);
        }
        stream.Append("done\n");
        (await GitAsync(["fast-import", "--quiet", "--done"], stream.ToString())).Ok();
        _commits++;
        return (await GitAsync("rev-parse", "refs/heads/main")).Ok().Trim();
    }

    public Task<string> CommitAsync(string path, string? text) => CommitAsync([(path, text)]);

    public Task<ToolResult> GitAsync(params string[] arguments) => GitAsync(arguments, "");

    private Task<ToolResult> GitAsync(string[] arguments, string input) => Tool.RunAsync(Tool.Start("git", arguments, Path, s_environment), input);

    private static void AppendData(StringBuilder stream, string text) =>
        stream.Append("data ").Append(Encoding.UTF8.GetByteCount(text)).Append('\n').Append(text).Append('\n');
}
