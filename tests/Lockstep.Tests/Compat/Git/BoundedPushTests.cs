using Lockstep.Access;
using System.Net.Sockets;
using System.Text;
using Lockstep.Client;
using Lockstep.Compat.Git;
using Lockstep.Config.Git;
using Lockstep.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Compat.Git;

/// <summary>What a client may take of the server: memory, disk, places, the lock.</summary>
[Trait("speed", "medium")]
public sealed class BoundedPushTests
{
    [Fact]
    public async Task An_object_that_unpacks_to_very_much_is_refused_with_a_way_out_and_a_large_file_is_taken()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"));
        var tag = $"object {clone.Head}\ntype commit\ntag large\ntagger A <a@b> 0 +0000\n\n{new string('x', 80 * 1024 * 1024)}";
        clone.Run("tag", "large", clone.RunWithInput(Encoding.ASCII.GetBytes(tag), "hash-object", "-w", "-t", "tag", "--stdin"));
        var (exit, said) = clone.Push("large");
        exit.ShouldNotBe(0);
        said.ShouldContain("remote: error: the server takes objects of at most 64 MiB");
        clone.Deploy(("large.txt", new string('x', 80 * 1024 * 1024))).ShouldContain("changed no known document");
    }

    [Fact]
    public async Task A_push_that_names_too_many_paths_or_too_deep_ones_is_refused_with_the_reason()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"));
        var tree = clone.Run("rev-parse", "HEAD^{tree}");
        for (var level = 0; level < 10; level++)
            tree = clone.RunWithInput(Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, 10).Select(n => $"040000 tree {tree}\td{n}\n"))), "mktree");
        var (exit, said) = clone.Push(clone.Run("commit-tree", tree, "-p", "HEAD", "-m", "bomb") + ":refs/heads/main");
        exit.ShouldNotBe(0);
        said.ShouldContain("remote: error: more than 200,000 files and directories are changed at once");

        clone.Commit((string.Join('/', Enumerable.Repeat("d", 100)) + "/x.yml", "x: 1\n"));
        clone.Push().Output.ShouldContain("is too long: at most 4,096 bytes and 64 names one below the other are taken");
        clone.Run("reset", "--quiet", "--hard", "HEAD~1");
        clone.Deploy(("a.yml", "x: 2\n"));
    }

    [Fact]
    public async Task Of_a_client_that_leaves_while_its_push_is_checked_nothing_stays()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"));
        clone.Commit(("a.yml", "x: 2\n"));
        var objects = Path.Combine(server.Server.Repository.Directory, "objects");
        int Received() => Directory.GetDirectories(objects, "tmp_objdir-*").Length;
        // While somebody else moves refs the push waits with its check.
        using (await server.Server.Repository.LockAsync(default))
        {
            using var push = GitClone.Start(clone.Path, "push", "origin", "HEAD:main");
            await Poll.UntilAsync(() => Received() == 1 && IsChecked(server.Options.Data), "the push is being checked");
            push.Kill(entireProcessTree: true);
            await push.WaitForExitAsync();
            await Poll.UntilAsync(() => Received() == 0, "nothing stays");
        }
        clone.Push().Exit.ShouldBe(0);
    }

    [Fact]
    public async Task What_a_killed_push_left_behind_goes_with_the_maintenance()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        var objects = Path.Combine(server.Server.Repository.Directory, "objects");
        var (old, young) = (Path.Combine(objects, "tmp_objdir-incoming-a"), Path.Combine(objects, "tmp_objdir-incoming-b"));
        foreach (var directory in new[] { old, young }) Directory.CreateDirectory(Path.Combine(directory, "pack"));
        Directory.SetLastWriteTimeUtc(old, TimeProvider.System.GetUtcNow().UtcDateTime - TimeSpan.FromHours(1));
        await server.Server.Repository.MaintainAsync(default);
        (Directory.Exists(old), Directory.Exists(young)).ShouldBe((false, true));
        GitScratch.QuarantineOf("/r", "/elsewhere/tmp_objdir-incoming-a")!.FullName.ShouldBe("/r/objects/tmp_objdir-incoming-a");
        foreach (var other in new[] { "", "/r/objects", "/r/objects/pack", "/r/tmp_objdir-a/..", "tmp_objdir-a/" }) GitScratch.QuarantineOf("/r", other).ShouldBeNull();
    }

    [Fact]
    public async Task A_defect_in_a_check_refuses_the_push_and_leaves_the_lock_free()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var place = new PushHooks(server.Options.Data).NewSocket();
        Directory.CreateDirectory(Path.GetDirectoryName(place.Path)!);
        await using (var session = new PushSession(server.Gate, CallContext.System("test"), place.Path, NullLogger.Instance))
        {
            // A request that git's hook never makes.
            (await AskAsync(session.Path, "pre-receive")).ShouldContain("refused, an unexpected failure (IndexOutOfRangeException)");
            (await AskAsync(session.Path, "pre-receive\n\n")).ShouldEndWith("accepted\n");
        }
        using var held = await server.Server.Repository.LockAsync(default).WaitAsync(TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task A_token_takes_a_few_of_the_places_and_those_of_fetches_are_not_those_of_pushes()
    {
        var limits = GitLimits.Default with { PerToken = 2, Turn = TimeSpan.Zero };
        await using var server = await TestServer.StartEmbeddedAsync(limits: limits);
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"));
        var slots = server.Server.Repository.Fetches;
        var taken = new[] { await slots.TakeAsync(server.Admin.TokenId!, default), await slots.TakeAsync(server.Admin.TokenId!, default) };
        clone.Try("fetch", "origin").Output.ShouldContain("2 git commands of this token are under way already");
        clone.Deploy(("a.yml", "x: 2\n"));
        using (GitClone.Clone(server, await server.AsAsync("admin"))) { }
        taken[0].Dispose();
        taken[0].Dispose();
        clone.Try("fetch", "origin").Exit.ShouldBe(0);
        (await Should.ThrowAsync<LockstepException>(async () =>
        {
            for (var i = 0; i <= limits.FetchesAtOnce; i++) await slots.TakeAsync($"t{i}", default);
        })).Message.ShouldContain("too many clones and pushes");
    }

    [Fact]
    public void The_list_of_refs_and_the_pack_of_a_push_are_counted_each_by_itself()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        var list = Encoding.ASCII.GetBytes("0008abcd0005x0001");
        byte[] all = [.. list, .. "0000PACK5678"u8];
        bool Fits(long listLimit, long restLimit)
        {
            var body = new PushBody(listLimit, restLimit);
            for (var at = 0; at < all.Length;)
            {
                var next = Math.Min(all.Length, at + random.Next(1, 6));
                if (!body.Add(all.AsSpan(at, next - at))) return false;
                at = next;
            }
            return true;
        }
        for (var i = 0; i < 100; i++)
        {
            Fits(list.Length + 4, 8).ShouldBeTrue($"seed {seed}");
            Fits(list.Length + 3, 8).ShouldBeFalse($"seed {seed}");
            Fits(list.Length + 4, 7).ShouldBeFalse($"seed {seed}");
        }
        // What is no list is counted as one to its end.
        new PushBody(100, 1000).Add(Encoding.ASCII.GetBytes("what" + new string('x', 97))).ShouldBeFalse();
    }

    [Fact]
    public void A_data_path_too_long_for_a_socket_leaves_no_directory_behind()
    {
        using var data = new TempDirectory();
        string directory;
        using (var place = new PushHooks(data.File(new string('d', 100))).NewSocket())
        {
            directory = Path.GetDirectoryName(place.Path)!;
            File.WriteAllText(place.Path, "");
        }
        Directory.Exists(directory).ShouldBeFalse();
    }

    // The hook waits for its answer. Where processes can't be looked at it will do that the pack is there.
    private static bool IsChecked(string data) =>
        !Directory.Exists("/proc") || Directory.EnumerateDirectories("/proc").Any(process =>
            Read(process, "cmdline").Contains("git-hook\0pre-receive", StringComparison.Ordinal) && Read(process, "environ").Contains(data, StringComparison.Ordinal));

    private static string Read(string process, string name)
    {
        try
        {
            return File.ReadAllText(Path.Combine(process, name));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    private static async Task<string> AskAsync(string path, string request)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(Encoding.UTF8.GetBytes(request));
        socket.Shutdown(SocketShutdown.Send);
        using var reader = new StreamReader(stream);
        return await reader.ReadToEndAsync();
    }
}
