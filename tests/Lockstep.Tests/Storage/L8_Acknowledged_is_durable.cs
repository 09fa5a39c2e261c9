using System.Globalization;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Storage;

[Trait("speed", "medium")]
public sealed class L8_Acknowledged_is_durable
{
    [Fact]
    public async Task Every_acknowledged_write_survives_kill_9_and_the_lock_is_free_again()
    {
        using var place = TestDatabase.Sqlite();
        var highest = 0;
        for (var round = 0; round < 3; round++)
        {
            using var child = ChildProcess.Start("acknowledged-writes", place.Directory.Path);
            var acknowledged = new List<int>();
            // A read that ends in null is a child that died by itself.
            while (acknowledged.Count < 100 + round * 37)
                acknowledged.Add(int.Parse(await child.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException(await child.StandardError.ReadToEndAsync()), CultureInfo.InvariantCulture));
            child.Kill();
            while (await child.StandardOutput.ReadLineAsync() is { } line)
                if (int.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out var number)) acknowledged.Add(number);
            await child.WaitForExitAsync();
            highest = Math.Max(highest, acknowledged.Count);

            using var held = DataDirectory.Lock(place.Directory.Path, TimeProvider.System);
            await using var database = await place.OpenAsync();
            var found = await database.ReadAsync(s => s.Query("SELECT number FROM meta WHERE name LIKE 'write %'", r => (int)r.GetInt64(0)), CancellationToken.None);
            acknowledged.Except(found).ShouldBeEmpty();
        }
        highest.ShouldBeGreaterThan(100);
    }
}
