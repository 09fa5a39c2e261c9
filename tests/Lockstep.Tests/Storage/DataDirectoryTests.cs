using Lockstep.Client;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Storage;

public sealed class DataDirectoryTests
{
    [Fact]
    public void A_second_server_is_refused_and_told_who_has_the_directory()
    {
        using var temp = new TempDirectory();
        var path = temp.File("data");
        using (DataDirectory.Lock(path, TimeProvider.System))
        {
            var refusal = Should.Throw<LockstepException>(() => DataDirectory.Lock(path, TimeProvider.System));
            refusal.Code.ShouldBe(ErrorCode.Unavailable);
            refusal.Message.ShouldContain($"pid {Environment.ProcessId}, since 20");
        }
        DataDirectory.Lock(path, TimeProvider.System).Dispose();
    }

    [Fact]
    public void The_directory_and_the_database_are_for_their_owner_alone()
    {
        if (OperatingSystem.IsWindows()) return;
        using var temp = new TempDirectory();
        using var held = DataDirectory.Lock(temp.File("a/b"), TimeProvider.System);
        File.GetUnixFileMode(temp.File("a/b")).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    [Fact]
    public async Task The_database_file_and_its_log_are_for_their_owner_alone()
    {
        if (OperatingSystem.IsWindows()) return;
        using var place = TestDatabase.Sqlite();
        await using var database = await place.OpenAsync();
        foreach (var file in Directory.GetFiles(place.Directory.Path, "lockstep.db*"))
            File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite, file);
    }

    [Fact]
    public void A_directory_that_cannot_be_made_says_so()
    {
        using var temp = new TempDirectory();
        File.WriteAllText(temp.File("file"), "");
        Should.Throw<LockstepException>(() => DataDirectory.Lock(temp.File("file/data"), TimeProvider.System)).Message.ShouldContain("can't be used");
    }

    [Fact]
    public async Task A_file_that_is_no_database_is_refused_with_its_name()
    {
        using var place = TestDatabase.Sqlite();
        await File.WriteAllTextAsync(place.Directory.File("lockstep.db"), string.Join('\n', Enumerable.Repeat("not a database", 1000)));
        var refusal = await Should.ThrowAsync<LockstepException>(place.OpenAsync());
        refusal.Code.ShouldBe(ErrorCode.Unavailable);
        refusal.Message.ShouldContain("lockstep.db");
    }
}
