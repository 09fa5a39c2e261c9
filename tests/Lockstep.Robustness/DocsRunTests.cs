using System.Text;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Robustness;

/// <summary>
/// The commands of the documentation work. A fenced block marked <c>sh</c> is run, top to bottom, all of one file in one shell, in a fresh folder in
/// which <c>lockstep dev</c> runs and with <c>lockstep</c> on the PATH. Blocks marked otherwise (<c>console</c>, <c>text</c>, <c>yaml</c>) are not run.
/// </summary>
[Trait("speed", "medium")]
[Collection("dev")]
public sealed class DocsRunTests(ITestOutputHelper output)
{
    public static TheoryData<string> Documents
    {
        get
        {
            var root = Root();
            string[] files = [Path.Combine(root, "README.md"), .. Directory.Exists(Path.Combine(root, "docs")) ? Directory.GetFiles(Path.Combine(root, "docs"), "*.md", SearchOption.AllDirectories) : []];
            var found = files.Where(f => File.Exists(f) && Blocks(File.ReadAllLines(f)).Count > 0).Select(f => Path.GetRelativePath(root, f)).Order(StringComparer.Ordinal);
            return new TheoryData<string>(found.DefaultIfEmpty(""));
        }
    }

    [Theory]
    [MemberData(nameof(Documents))]
    public async Task Every_command_of_a_document_works(string document)
    {
        if (document.Length == 0)
        {
            output.WriteLine("no document has a block marked sh");
            return;
        }
        await using var folder = new DevFolder();
        await folder.StartAsync();
        var blocks = Blocks(await File.ReadAllLinesAsync(Path.Combine(Root(), document)));
        var script = new StringBuilder("set -eu\n");
        foreach (var (line, text) in blocks) script.Append($"echo '## {document}:{line}'\n").Append(text);
        var result = await folder.ShellAsync(script.ToString());
        var at = result.Output.Split('\n').LastOrDefault(l => l.StartsWith("## ", StringComparison.Ordinal));
        result.ExitCode.ShouldBe(0, $"in the block after {at}:\n{result.Output}{result.Error}");
        folder.Dev!.Process.HasExited.ShouldBeFalse(folder.Dev.Output);
    }

    private static List<(int Line, string Text)> Blocks(string[] lines)
    {
        var blocks = new List<(int, string)>();
        for (var n = 0; n < lines.Length; n++)
        {
            if (!lines[n].TrimStart().StartsWith("```", StringComparison.Ordinal)) continue;
            var (start, runs) = (n + 1, lines[n].Trim() == "```sh");
            var text = new StringBuilder();
            while (++n < lines.Length && lines[n].Trim() != "```") text.Append(lines[n]).Append('\n');
            if (runs) blocks.Add((start, text.ToString()));
        }
        return blocks;
    }

    private static string Root()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "lockstep.slnx"))) return folder.FullName;
        throw new DirectoryNotFoundException("the repository is not around the tests");
    }
}
