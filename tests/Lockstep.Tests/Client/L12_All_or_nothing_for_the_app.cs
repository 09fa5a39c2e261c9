using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Lockstep.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Client;

/// <summary>An application sees one whole document or the next, never a mix; a change event fires once.</summary>
[Trait("speed", "medium")]
public sealed class L12_All_or_nothing_for_the_app
{
    private const int Changes = 400;

    /// <summary>Each document carries its number under "n", and a key that names the sum of all others: any mix of two shows.</summary>
    [Fact]
    public async Task Under_random_changes_and_reconnects_every_reader_handler_and_view_sees_whole_documents_in_order()
    {
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        await using var server = await FakeWatchServer.StartAsync();
        var model = new Model(random);
        var opening = LockstepStore.OpenAsync(StoreBench.Options(server.Address));
        var connection = await server.ServeAsync(model.Release, model.Json());
        await using var store = await opening;
        using var ending = new CancellationTokenSource();
        var wrong = new ConcurrentQueue<string>();
        var view = store.View(Model.Check);
        long last = 1;
        var told = 0;
        store.Changed += (_, change) =>
        {
            told++;
            if (change.Old.Release != Interlocked.Exchange(ref last, change.New.Release)) wrong.Enqueue($"{change.Old.Release} -> {change.New.Release} does not follow the one before");
            if (Model.Check(change.New) < Model.Check(change.Old)) wrong.Enqueue("a change went back");
            if (change.Keys.Count == 0) wrong.Enqueue("a change of nothing");
            if (view.Value < Model.Check(change.New)) wrong.Enqueue("the view is behind its handler");
        };
        var readers = Enumerable.Range(0, 3).Select(_ => Task.Run(() => Read(store, view, wrong, ending.Token))).ToArray();

        for (var i = 0; i < Changes; i++)
        {
            switch (random.Next(20))
            {
                case 0:
                    // Away while things change: it may name what it holds, and is told what it missed, folded or whole.
                    connection.Abort();
                    connection = await ReconnectAsync(server, model, random);
                    break;
                case 1:
                    // Of a release that the client does not hold.
                    model.Next();
                    await connection.ChangeAsync(model.Release + 5, model.Release + 6, """{"n":-1}""");
                    await connection.ReadUntilAsync("subscribe");
                    await connection.SnapshotAsync(model.Release, model.Json());
                    break;
                default:
                    var from = model.Release;
                    var (set, unset) = model.Next(random.Next(1, 4));
                    await connection.ChangeAsync(from, model.Release, set, unset);
                    break;
            }
        }
        await Poll.UntilAsync(() => store.Current.Release == model.Release && view.Value == model.Number, $"the newest document (seed {seed})");
        await Poll.UntilAsync(() => Interlocked.Read(ref last) == model.Release, $"the last event (seed {seed})");
        await ending.CancelAsync();
        await Task.WhenAll(readers);
        wrong.ShouldBeEmpty($"seed {seed}");
        told.ShouldBeInRange(1, model.Number, $"seed {seed}");
    }

    private static void Read(LockstepStore store, LockstepView<int> view, ConcurrentQueue<string> wrong, CancellationToken ending)
    {
        var (last, lastView) = (0, 0);
        while (!ending.IsCancellationRequested)
        {
            var (now, nowView) = (Model.Check(store.Current), view.Value);
            if (now < last || nowView < lastView) wrong.Enqueue($"{now} after {last}, or in the view {nowView} after {lastView}");
            (last, lastView) = (now, nowView);
        }
    }

    private static async Task<FakeWatchConnection> ReconnectAsync(FakeWatchServer server, Model model, Random random)
    {
        var connection = await server.GreetAsync();
        var held = connection.Subscribed.TryGetProperty("release", out var release) ? release.GetInt64() : 0;
        if (held == model.Release && random.Next(2) == 0) await connection.CurrentAsync(model.Release, $"t{held}");
        else
        {
            model.Next();
            await connection.SnapshotAsync(model.Release, model.Json());
        }
        return connection;
    }

    private sealed class Model(Random random)
    {
        private readonly SortedDictionary<string, int> _values = new(StringComparer.Ordinal) { ["k1"] = 1, ["k2"] = 2 };

        public int Number { get; private set; } = 1;

        public long Release { get; private set; } = 1;

        /// <summary>The number of a document; throws when it is not whole.</summary>
        public static int Check(Snapshot snapshot)
        {
            long sum = 0;
            foreach (var (key, value) in snapshot.Values)
                if (key[0] == 'k') sum += value.GetInt32();
            if (snapshot.Values["sum"].GetInt64() != sum) throw new InvalidOperationException($"a mix at release {snapshot.Release}");
            return snapshot.Values["n"].GetInt32();
        }

        public string Json() => Write(_values.Keys);

        /// <summary>Several changes folded into one delta.</summary>
        public (string Set, string Unset) Next(int times = 1)
        {
            var (set, unset) = (new SortedSet<string>(StringComparer.Ordinal), new SortedSet<string>(StringComparer.Ordinal));
            for (var i = 0; i < times; i++)
            {
                Number++;
                Release += random.Next(1, 4);
                var key = "k" + random.Next(1, 9).ToString(CultureInfo.InvariantCulture);
                if (random.Next(4) == 0 && _values.Remove(key))
                {
                    set.Remove(key);
                    unset.Add(key);
                }
                else
                {
                    _values[key] = random.Next(1000);
                    set.Add(key);
                    unset.Remove(key);
                }
            }
            return (Write(set), "[" + string.Join(',', unset.Select(u => $"\"{u}\"")) + "]");
        }

        private string Write(IEnumerable<string> keys)
        {
            var text = new StringBuilder("{");
            foreach (var key in keys) text.Append(CultureInfo.InvariantCulture, $"\"{key}\":{_values[key]},");
            return text.Append(CultureInfo.InvariantCulture, $"\"n\":{Number},\"sum\":{_values.Values.Sum()}}}").ToString();
        }
    }
}
