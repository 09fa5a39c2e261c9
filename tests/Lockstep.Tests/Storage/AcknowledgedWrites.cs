using System.Globalization;
using Lockstep.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace Lockstep.Tests.Storage;

/// <summary>The child that is killed: writes from several tasks without end and prints each number once it is acknowledged.</summary>
internal static class AcknowledgedWrites
{
    public static async Task<int> RunAsync(string directory)
    {
        using var held = DataDirectory.Lock(directory, TimeProvider.System);
        await using var database = await Database.OpenAsync(directory, null, NullLoggerFactory.Instance, TimeProvider.System, CancellationToken.None);
        var number = 0;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            while (true)
            {
                var mine = Interlocked.Increment(ref number);
                await database.WriteAsync(s => { Meta.SetNumber(s, $"write {mine}", mine); return 0; }, CancellationToken.None);
                Console.WriteLine(mine.ToString(CultureInfo.InvariantCulture));
            }
        })));
        return 0;
    }
}
