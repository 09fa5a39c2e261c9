using System.Collections.Concurrent;
using System.Text;
using Lockstep.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Client;

/// <summary>Stores without a server.</summary>
[Trait("speed", "medium")]
public sealed class LocalStoreTests
{
    [Fact]
    public async Task Fixed_values_are_replaced_as_a_change_would()
    {
        await using var store = LockstepStore.FromValues(new Dictionary<string, string>(StringComparer.Ordinal) { ["b"] = "x\"\n", ["a"] = "1" }, ["b"]);
        (store.Current.Text("b"), store.Current.Secrets.Single(), store.Status.Connected).ShouldBe(("x\"\n", "b", true));
        store.Current.Values.Keys.ShouldBe(["a", "b"]);
        var view = store.View(s => s.Text("a"));
        var changes = new ConcurrentQueue<StoreChange>();
        store.Changed += (_, change) => changes.Enqueue(change);
        store.Replace(new Dictionary<string, string>(StringComparer.Ordinal) { ["b"] = "x\"\n", ["a"] = "1" }, ["b"]);
        store.Replace(new Dictionary<string, string>(StringComparer.Ordinal) { ["a"] = "2" });
        store.Current.Text("a").ShouldBe("2");
        await Poll.UntilAsync(() => changes.Count == 1, "the change");
        changes.Single().Keys.ShouldBe(["a", "b"]);
        view.Value.ShouldBe("2");
    }

    [Fact]
    public async Task A_file_is_followed_and_never_seen_half()
    {
        using var directory = new TempDirectory();
        var path = directory.File("values.json");
        File.WriteAllText(path, """{ "db": { "host": "db1", "hosts": [ { "n": 1 }, 2 ], "none": null, "empty": {} }, "db.port": 5432, /* yes */ "flag": true, }""");
        await using var store = LockstepStore.FromFile(path);
        store.Current.Values.ToDictionary(v => v.Key, v => v.Value.ToString(), StringComparer.Ordinal).ShouldBe(new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["db.empty"] = "", ["db.host"] = "db1", ["db.hosts[0].n"] = "1", ["db.hosts[1]"] = "2", ["db.none"] = "", ["db.port"] = "5432", ["flag"] = "True",
        });
        var changes = new ConcurrentQueue<StoreChange>();
        store.Changed += (_, change) => changes.Enqueue(change);

        // Written bit by bit, longer than one look.
        using (var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.ReadWrite))
        {
            foreach (var part in new[] { "{ \"a\": ", "\"hunter2\", ", "\"b\": 2" })
            {
                await file.WriteAsync(Encoding.UTF8.GetBytes(part));
                await file.FlushAsync();
                await Poll.UntilAsync(() => store.Status.Reason?.Contains("not valid JSON", StringComparison.Ordinal) == true, "the status");
                store.Status.Reason!.ShouldNotContain("hunter2");
                store.Current.Text("db.host").ShouldBe("db1");
            }
            await file.WriteAsync("}"u8.ToArray());
        }
        await Poll.UntilAsync(() => changes.Count == 1 && store.Status.Connected, "the change");
        store.Current.Values.Keys.ShouldBe(["a", "b"]);

        // Replaced as editors and mounts do it; the same data raises nothing.
        File.WriteAllText(directory.File("next"), """{"b":2,"a":"hunter2"}""");
        File.Move(directory.File("next"), path, overwrite: true);
        await Poll.UntilAsync(() => store.Current.Release == 3, "the new file");
        File.Delete(path);
        await Poll.UntilAsync(() => store.Status.Reason?.Contains("there is no", StringComparison.Ordinal) == true, "the missing file");
        File.WriteAllText(path, """{"a":"y"}""");
        await Poll.UntilAsync(() => changes.Count == 2, "the file that came back");
        store.Current.Text("a").ShouldBe("y");
    }

    [Fact]
    public void A_file_that_is_not_there_or_no_object_is_an_error_at_the_start_that_quotes_nothing()
    {
        using var directory = new TempDirectory();
        var path = directory.File("values.json");
        Should.Throw<LockstepException>(() => LockstepStore.FromFile(path)).Code.ShouldBe(ErrorCode.NotFound);
        foreach (var text in new[] { "", "[]", "hunter2", """{"a":"hunter2","a":2}""", """{"a":hunter2}""" })
        {
            File.WriteAllText(path, text);
            var e = Should.Throw<LockstepException>(() => LockstepStore.FromFile(path));
            e.Code.ShouldBe(ErrorCode.InvalidConfig);
            e.ToString().ShouldNotContain("hunter2");
        }
    }
}
