using System.Diagnostics;
using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Tests.Storage;

[Trait("speed", "medium")]
public sealed class FullDiskTests(ITestOutputHelper output)
{
    [Fact]
    public async Task A_full_disk_fails_writes_with_the_way_out_and_writing_goes_on_when_there_is_space()
    {
        using var temp = new TempDirectory();
        if (!Mount("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", temp.Path))
        {
            output.WriteLine("SKIPPED: a tmpfs can't be mounted here (needs root)");
            return;
        }
        try
        {
            var ballast = temp.File("ballast");
            await File.WriteAllBytesAsync(ballast, new byte[512 * 1024]);
            await using var database = await Database.OpenAsync(temp.Path, null, NullLoggerFactory.Instance, TimeProvider.System, CancellationToken.None);
            var acknowledged = 0;
            var failure = await Should.ThrowAsync<LockstepException>(async () =>
            {
                while (true)
                {
                    await WriteAsync(database, acknowledged + 1);
                    acknowledged++;
                }
            });
            failure.Code.ShouldBe(ErrorCode.Unavailable);
            failure.Message.ShouldContain("free some space");
            database.WriteFailure.ShouldNotBeNull();
            (await CountAsync(database)).ShouldBe(acknowledged);

            File.Delete(ballast);
            (await database.CheckWritableAsync(CancellationToken.None)).ShouldBeNull();
            database.WriteFailure.ShouldBeNull();
            await WriteAsync(database, acknowledged + 1);
            (await CountAsync(database)).ShouldBe(acknowledged + 1);
        }
        finally
        {
            Mount("umount", temp.Path);
        }
    }

    private static Task<int> WriteAsync(Database database, int number) => database.WriteAsync(s =>
    {
        Meta.SetData(s, $"fill {number}", RandomNumberGenerator.GetBytes(16 * 1024));
        return 0;
    }, CancellationToken.None);

    private static Task<long> CountAsync(Database database) =>
        database.ReadAsync(s => s.First("SELECT COUNT(*) FROM meta WHERE name LIKE 'fill %'", r => r.GetInt64(0)), CancellationToken.None);

    private static bool Mount(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, UseShellExecute = false })!;
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
