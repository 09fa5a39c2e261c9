using System.Text.Json;
using Lockstep.Agent;
using Lockstep.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Agent;

public sealed class SecretMountTests : IDisposable
{
    private readonly TempDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void Each_key_is_a_file_for_its_owner_alone()
    {
        SecretMount.Write(_directory.Path, Files(("db.password", "one\n"), ("empty", "")));
        File.ReadAllText(_directory.File("db.password")).ShouldBe("one\n");
        File.ReadAllText(_directory.File("empty")).ShouldBe("");
        File.GetUnixFileMode(Path.Combine(_directory.Path, "..data", "db.password")).ShouldBe(UnixFileMode.UserRead);
    }

    [Fact]
    public void Keys_come_and_go_and_nothing_of_the_document_before_is_left()
    {
        SecretMount.Write(_directory.Path, Files(("a", "1"), ("b", "1")));
        SecretMount.Write(_directory.Path, Files(("b", "2"), ("c", "2")));
        Names().ShouldBe(["..2", "..data", "b", "c"]);
        File.ReadAllText(_directory.File("b")).ShouldBe("2");
        SecretMount.Clear(_directory.Path);
        Names().ShouldBe(["..3", "..data"]);
    }

    [Fact]
    public async Task A_reader_sees_one_whole_document_or_the_next()
    {
        SecretMount.Write(_directory.Path, Files(("a", "0"), ("b", "0")));
        using var done = new CancellationTokenSource();
        var reads = 0;
        var reader = Task.Run(() =>
        {
            while (!done.IsCancellationRequested)
            {
                // As a program does that wants all of one document: where the link leads now, and then everything from there.
                var folder = new FileInfo(_directory.File("..data")).LinkTarget!;
                try
                {
                    var one = File.ReadAllText(_directory.File(Path.Combine(folder, "a")));
                    File.ReadAllText(_directory.File(Path.Combine(folder, "b"))).ShouldBe(one);
                    // One by one: never half.
                    File.ReadAllText(_directory.File("a")).ShouldNotBeEmpty();
                    reads++;
                }
                catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or UnauthorizedAccessException)
                {
                    // That document has gone meanwhile: it looks again.
                }
            }
        });
        for (var n = 1; n <= 200 || reads < 10; n++) SecretMount.Write(_directory.Path, Files(("a", $"{n}"), ("b", $"{n}")));
        await done.CancelAsync();
        await reader;
    }

    [Fact]
    public void Nothing_is_written_where_no_mount_of_the_child_is()
    {
        if (!OperatingSystem.IsLinux()) return;
        Should.Throw<IOException>(() => SecretMount.Of(Environment.ProcessId, _directory.Path));
    }

    [Theory]
    [InlineData("a/b")]
    [InlineData("..")]
    [InlineData(".")]
    [InlineData("..data")]
    public void Keys_that_can_not_be_files_are_named_and_no_value_is(string key)
    {
        var snapshot = Snapshot(key, "hunter2");
        var e = Should.Throw<LockstepException>(() => ChildInput.From(snapshot, new RunOptions { Mount = "/run/x" }));
        e.Code.ShouldBe(ErrorCode.InvalidConfig);
        e.Errors.Single().Key.ShouldBe(key);
        e.ToString().ShouldNotContain("hunter2");
    }

    [Fact]
    public void Only_secrets_are_the_keys_that_derive_from_one()
    {
        var snapshot = Snapshot("db.password", "p") with { Secrets = ["db.password"] };
        snapshot = snapshot with { Values = new Dictionary<string, JsonElement>(snapshot.Values) { ["plain"] = Text("x") } };
        ChildInput.From(snapshot, new RunOptions { OnlySecrets = true }).Variables.Keys.ShouldBe(["DB_PASSWORD"]);
        ChildInput.From(snapshot, new RunOptions()).Variables.Keys.ShouldBe(["DB_PASSWORD", "PLAIN"]);
    }

    private static Snapshot Snapshot(string key, string value) => new()
    {
        Release = 1,
        Commit = null,
        Service = "s",
        Environment = "e",
        Label = "main",
        Values = new Dictionary<string, JsonElement> { [key] = Text(value) },
    };

    private static JsonElement Text(string text)
    {
        using var json = JsonDocument.Parse($"\"{text}\"");
        return json.RootElement.Clone();
    }

    private string[] Names() => [.. Directory.GetFileSystemEntries(_directory.Path).Select(p => Path.GetFileName(p)!).Order(StringComparer.Ordinal)];

    private static Dictionary<string, string> Files(params (string Key, string Value)[] files) => files.ToDictionary(f => f.Key, f => f.Value);
}
