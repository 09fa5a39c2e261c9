using System.Buffers.Binary;
using System.Text;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Storage.Backup;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Server;

/// <summary>What a backup refuses, and what of it can't be restored.</summary>
[Trait("speed", "medium")]
public sealed class BackupTests
{
    private const int HeadLength = 20;

    [Fact]
    public async Task What_was_cut_off_edited_moved_or_added_is_found_and_nothing_is_left_behind()
    {
        await using var server = await StartAsync(bytes: 300_000);
        var (file, _) = await RestoredServer.BackupAsync(server, "a.backup");
        var whole = await File.ReadAllBytesAsync(file);
        var body = HeadLength + BinaryPrimitives.ReadInt32BigEndian(whole.AsSpan(16));
        const int Chunk = 4 + (64 * 1024) + 16;
        whole.Length.ShouldBeGreaterThan(body + (3 * Chunk));
        // The same head, other chunks.
        var (other, _) = await RestoredServer.BackupAsync(server, "b.backup");
        var theirs = await File.ReadAllBytesAsync(other);

        byte[] Edited(Action<byte[]> edit)
        {
            var bytes = whole.ToArray();
            edit(bytes);
            return bytes;
        }

        var wrong = new Dictionary<string, byte[]>(StringComparer.Ordinal)
        {
            ["not a backup"] = Encoding.UTF8.GetBytes("PK\u0003\u0004 something else altogether, and long enough"),
            ["empty"] = [],
            ["cut in the head"] = whole[..30],
            ["cut in a chunk"] = whole[..(body + 1000)],
            ["cut between chunks"] = whole[..(body + Chunk)],
            ["without its last chunk's end"] = whole[..^1],
            ["with more at the end"] = [.. whole, 0],
            ["a bit of a chunk"] = Edited(b => b[body + Chunk + 500] ^= 1),
            ["a bit of a tag"] = Edited(b => b[body + Chunk - 1] ^= 1),
            ["the mark of the last chunk"] = Edited(b => b[body] |= 0x80),
            ["a bit of the head"] = Edited(b => b[b.AsSpan(0, body).IndexOf("createdAt"u8) + 14] ^= 1),
            ["chunks swapped"] = [.. whole[..body], .. whole[(body + Chunk)..(body + (2 * Chunk))], .. whole[body..(body + Chunk)], .. whole[(body + (2 * Chunk))..]],
            ["a chunk left out"] = [.. whole[..(body + Chunk)], .. whole[(body + (2 * Chunk))..]],
            ["a chunk of another backup"] = [.. whole[..(body + Chunk)], .. theirs[(body + Chunk)..(body + (2 * Chunk))], .. whole[(body + (2 * Chunk))..]],
        };
        foreach (var (what, bytes) in wrong) await RefusedAsync(server, bytes, ErrorCode.InvalidConfig, what);
        (await RefusedAsync(server, wrong["not a backup"], ErrorCode.InvalidConfig, "text")).Message.ShouldContain("not a backup");
        (await RefusedAsync(server, wrong["chunks swapped"], ErrorCode.InvalidConfig, "text")).Message.ShouldContain("chunk 0 is not as it was written");
        (await RefusedAsync(server, wrong["a chunk left out"], ErrorCode.InvalidConfig, "text")).Message.ShouldContain("chunk 1 is not as it was written");
        (await RefusedAsync(server, wrong["a bit of the head"], ErrorCode.InvalidConfig, "text")).Message.ShouldContain("chunk 0 is not as it was written");
        (await RefusedAsync(server, whole[..^1], ErrorCode.InvalidConfig, "text")).Message.ShouldContain("cut off");
        // And the whole one is none of these.
        var (restored, report) = await RestoredServer.RestoreAsync(server, file);
        await using var owned = restored;
        report.Damage.ShouldBeEmpty();
    }

    [Fact]
    public async Task Another_key_and_a_newer_format_are_told_as_what_they_are()
    {
        await using var server = await StartAsync(bytes: 10);
        var (file, _) = await RestoredServer.BackupAsync(server, "a.backup");
        var key = Encoding.ASCII.GetBytes(Convert.ToBase64String(System.Security.Cryptography.RandomNumberGenerator.GetBytes(32)));
        (await RefusedAsync(server, await File.ReadAllBytesAsync(file), ErrorCode.Conflict, "key", key)).Message.ShouldContain("made under another master key");
        var newer = Encoding.UTF8.GetString(await File.ReadAllBytesAsync(file), 0, 400);
        var at = newer.IndexOf("\"format\":1", StringComparison.Ordinal) + 9;
        var bytes = await File.ReadAllBytesAsync(file);
        bytes[at] = (byte)'9';
        (await RefusedAsync(server, bytes, ErrorCode.Conflict, "format")).Message.ShouldContain("format 9");
    }

    [Fact]
    public async Task A_place_that_is_not_empty_is_left_as_it_is()
    {
        await using var server = await StartAsync(bytes: 10);
        var (file, _) = await RestoredServer.BackupAsync(server, "a.backup");
        await server.StopAsync();
        var before = Directory.GetFileSystemEntries(server.Options.Data).Order().ToArray();
        (await Should.ThrowAsync<LockstepException>(RestoredServer.RunAsync(server.Options, file))).Code.ShouldBe(ErrorCode.AlreadyExists);
        Directory.GetFileSystemEntries(server.Options.Data).Order().ShouldBe(before);
        await server.StartAsync();
        if (PostgresServer.Missing is not null) return;
        var url = await PostgresServer.CreateDatabaseAsync();
        await PostgresServer.ExecuteAsync(url, "CREATE TABLE meta (name text)");
        (await Should.ThrowAsync<LockstepException>(() => RestoredServer.RestoreAsync(server, file, url))).Message.ShouldContain("is not empty");
    }

    [Fact]
    public async Task A_backup_from_before_a_rekey_opens_under_the_old_key_alone()
    {
        await using var server = await StartAsync(bytes: 10);
        var (file, _) = await RestoredServer.BackupAsync(server, "a.backup");
        var old = await File.ReadAllBytesAsync(Path.Combine(server.Options.Data, "master.key"));
        (await server.Admin.PostAsync("/v1/rekey")).Ok().Json.GetProperty("rewrapped").GetInt32().ShouldBeGreaterThan(0);
        (await RefusedAsync(server, await File.ReadAllBytesAsync(file), ErrorCode.Conflict, "old")).Message.ShouldContain("made under another master key");
        var (restored, _) = await RestoredServer.RestoreAsync(server, file, key: old);
        await using var owned = restored;
        await restored.StartAsync();
        (await new TestCaller(restored, server.Admin.Token).GetAsync("/v1/audit/verify")).Ok().Json.GetProperty("valid").GetBoolean().ShouldBeTrue();
        var (after, _) = await RestoredServer.BackupAsync(server, "b.backup");
        var (again, _) = await RestoredServer.RestoreAsync(server, after);
        await again.DisposeAsync();
    }

    [Fact]
    public async Task Damage_from_before_the_backup_is_told_and_restored_only_when_that_is_accepted()
    {
        await using var server = await StartAsync(bytes: 10);
        await server.ExecuteAsync("UPDATE secret_versions SET wrapped_key = ciphertext WHERE id = 'shop/db'");
        var (file, _) = await RestoredServer.BackupAsync(server, "a.backup");
        var refusal = await RefusedAsync(server, await File.ReadAllBytesAsync(file), ErrorCode.Conflict, "damage");
        refusal.Message.ShouldContain("shop/db@1");
        var (restored, report) = await RestoredServer.RestoreAsync(server, file, acceptDamage: true);
        await using var owned = restored;
        report.Damage.Count.ShouldBe(1);
    }

    [Fact]
    public async Task Tags_and_commits_of_old_releases_are_restored_and_a_moved_branch_stands_where_the_backup_says()
    {
        await using var server = await StartAsync(bytes: 10);
        var old = server.Release;
        (await server.Admin.SendAsync("PUT", "/v1/files/shop.yml", "n: 2\n", ("If-Match", (await server.Admin.GetAsync("/v1/files/shop.yml")).ETag))).Ok();
        var (file, release) = await RestoredServer.BackupAsync(server, "a.backup");
        var (restored, _) = await RestoredServer.RestoreAsync(server, file);
        await using var owned = restored;
        await restored.StartAsync();
        restored.Release.ShouldBe(release);
        var admin = new TestCaller(restored, server.Admin.Token);
        (await admin.ConfigAsync("shop/production")).Ok().Value("n").ShouldBe("2");
        (await admin.ConfigAsync("shop/production", $"?release={old}")).Ok().Value("n").ShouldBe("1");
        // What watchers of before hold means nothing here.
        restored.Database.Epoch.ShouldNotBe(server.Database.Epoch);
    }

    [Fact]
    public async Task A_key_from_a_Vault_is_had_from_there_again()
    {
        await using var vault = await FakeVault.StartAsync();
        using var folder = new TempDirectory();
        await File.WriteAllTextAsync(folder.File("token"), FakeVault.Token);
        var key = new MasterKeyOptions { VaultTransit = new() { Address = vault.Address, Key = "lockstep", TokenFile = folder.File("token") } };
        await using var server = await TestServer.StartEmbeddedAsync(o => o with { MasterKey = key });
        (await server.PutAsync("shop/db", "kept")).Ok();
        (await server.Admin.PostAsync("/v1/rekey")).Ok();
        var (file, _) = await RestoredServer.BackupAsync(server, "a.backup");
        await using var restored = TestServer.Create("", o => o with { Config = server.Options.Config, MasterKey = key });
        await RestoredServer.RunAsync(restored.Options, file);
        await restored.StartAsync();
        (await restored.Gate.Secrets.ReadAsync(Lockstep.Secrets.SecretId.Parse("shop/db"), 1, CancellationToken.None)).Reveal().ShouldBe("kept");
        (await File.ReadAllTextAsync(file)).ShouldNotContain(FakeVault.Token);
    }

    [Fact]
    public async Task An_empty_repository_and_one_at_a_remote_are_restored_as_such()
    {
        await using (var server = await TestServer.StartEmbeddedAsync())
        {
            var (file, release) = await RestoredServer.BackupAsync(server, "a.backup");
            var (restored, report) = await RestoredServer.RestoreAsync(server, file);
            await using var owned = restored;
            report.Repository.ShouldNotBeNull();
            await restored.StartAsync();
            restored.Release.ShouldBe(release);
        }
        using var repository = new TestRepository();
        repository.Commit(("shop.yml", "n: 1\n"));
        await using (var server = await TestServer.StartAsync(repository))
        {
            (await server.Admin.ConfigAsync("shop/production")).Ok();
            var (file, _) = await RestoredServer.BackupAsync(server, "a.backup");
            var (restored, report) = await RestoredServer.RestoreAsync(server, file);
            await using var owned = restored;
            report.Repository.ShouldBeNull();
            await restored.StartAsync();
            (await new TestCaller(restored, server.Admin.Token).ConfigAsync("shop/production")).Ok().Value("n").ShouldBe("1");
        }
    }

    [Fact]
    public async Task A_restore_that_was_killed_is_done_again()
    {
        await using var server = await StartAsync(bytes: 10);
        var (file, release) = await RestoredServer.BackupAsync(server, "a.backup");
        await using var restored = TestServer.Create("", o => o with { Config = server.Options.Config });
        Directory.CreateDirectory(Path.Combine(restored.Options.Data, ".restoring", "config.git"));
        await File.WriteAllTextAsync(Path.Combine(restored.Options.Data, ".restoring", "lockstep.db"), "half");
        foreach (var name in new[] { "lockstep.lock", "lockstep.pid" }) await File.WriteAllTextAsync(Path.Combine(restored.Options.Data, name), "");
        File.Copy(Path.Combine(server.Options.Data, "master.key"), Path.Combine(restored.Options.Data, "master.key"));
        (await RestoredServer.RunAsync(restored.Options, file)).Release.ShouldBe(release);
        await restored.StartAsync();
        restored.Release.ShouldBe(release);
    }

    [Fact]
    public async Task A_place_where_another_one_is_restored_or_served_is_left_to_it()
    {
        await using var server = await StartAsync(bytes: 10);
        var (file, _) = await RestoredServer.BackupAsync(server, "a.backup");
        await using var restored = TestServer.Create("", o => o with { Config = server.Options.Config });
        using var held = Lockstep.Storage.DataDirectory.Lock(restored.Options.Data, TimeProvider.System);
        File.Copy(Path.Combine(server.Options.Data, "master.key"), Path.Combine(restored.Options.Data, "master.key"));
        Directory.CreateDirectory(Path.Combine(restored.Options.Data, ".restoring"));
        (await Should.ThrowAsync<LockstepException>(RestoredServer.RunAsync(restored.Options, file))).Message.ShouldContain("is in use by another");
        Directory.Exists(Path.Combine(restored.Options.Data, ".restoring")).ShouldBeTrue();
        File.Exists(Path.Combine(restored.Options.Data, "lockstep.lock")).ShouldBeTrue();
    }

    [Fact]
    public async Task Only_one_backup_or_change_of_the_key_at_a_time_and_both_are_on_the_record()
    {
        await using var server = await StartAsync(bytes: 10);
        await using (var backup = await server.Gate.BackupAsync(Lockstep.Access.CallContext.System("test"), CancellationToken.None))
        {
            (await server.Admin.GetAsync("/v1/backup")).ShouldBe(409, "conflict");
            (await server.Admin.PostAsync("/v1/rekey")).ShouldBe(409, "conflict");
            File.Exists(Path.Combine(server.Options.Data, "backup.spool")).ShouldBeTrue();
        }
        File.Exists(Path.Combine(server.Options.Data, "backup.spool")).ShouldBeFalse();
        (await server.Admin.GetAsync("/v1/backup")).Ok();
        (await server.Admin.PostAsync("/v1/rekey")).Ok();
        (await server.QueryAsync("SELECT action FROM audit WHERE action IN ('backup.create', 'key.rekey') ORDER BY seq")).ShouldBe(["backup.create", "backup.create", "key.rekey", "key.rekey"]);
        // A limited administrator is none of these.
        var limited = await server.AsAsync("admin", t => t with { Services = ["shop"] });
        (await limited.GetAsync("/v1/backup")).ShouldBe(403, "forbidden");
        (await limited.PostAsync("/v1/rekey")).ShouldBe(403, "forbidden");
    }

    [Fact]
    public async Task A_backup_holds_no_secret_in_the_clear_and_not_the_master_key()
    {
        await using var server = await StartAsync(bytes: 10);
        await server.PutAsync("plain/one", "a-value-that-is-easy-to-find");
        var (file, _) = await RestoredServer.BackupAsync(server, "a.backup");
        var bytes = await File.ReadAllBytesAsync(file);
        bytes.AsSpan().IndexOf("a-value-that-is-easy-to-find"u8).ShouldBe(-1);
        bytes.AsSpan().IndexOf("plain/one"u8).ShouldBe(-1);
        var key = Convert.FromBase64String(await File.ReadAllTextAsync(Path.Combine(server.Options.Data, "master.key")));
        bytes.AsSpan().IndexOf(key).ShouldBe(-1);
        // Opened, it is not in it either.
        using var stream = new MemoryStream(bytes);
        var (header, binding) = BackupHeader.ReadFrom(stream);
        using var opened = new OpeningStream(stream, header.FileKey(server.Gate.MasterKey.Derive("backup")), binding);
        using var plain = new MemoryStream();
        opened.CopyTo(plain);
        plain.ToArray().AsSpan().IndexOf("plain/one"u8).ShouldBeGreaterThan(0);
        plain.ToArray().AsSpan().IndexOf(key).ShouldBe(-1);
    }

    private static async Task<TestServer> StartAsync(int bytes)
    {
        var server = await TestServer.StartEmbeddedAsync();
        var random = new Random(bytes);
        (await server.PutAsync("shop/db", "first")).Ok();
        for (var n = 0; bytes > 0; n++, bytes -= 40_000)
            (await server.PutAsync($"big/{n}", string.Concat(Enumerable.Range(0, Math.Min(bytes, 40_000)).Select(_ => (char)random.Next('a', 'z'))))).Ok();
        (await server.Admin.SendAsync("PUT", "/v1/files/shop.yml", "n: 1\n", ("If-None-Match", "*"))).Ok();
        (await server.Admin.ConfigAsync("shop/production")).Ok();
        return server;
    }

    private static async Task<LockstepException> RefusedAsync(TestServer server, byte[] bytes, ErrorCode code, string what, byte[]? key = null)
    {
        var file = server.Data.File("wrong.backup");
        await File.WriteAllBytesAsync(file, bytes);
        await using var other = TestServer.Create("", o => o with { Config = server.Options.Config });
        Directory.CreateDirectory(other.Options.Data);
        var path = Path.Combine(other.Options.Data, "master.key");
        await File.WriteAllBytesAsync(path, key ?? await File.ReadAllBytesAsync(Path.Combine(server.Options.Data, "master.key")));
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var refusal = await Should.ThrowAsync<LockstepException>(() => RestoredServer.RunAsync(other.Options, file), what);
        refusal.Code.ShouldBe(code, $"{what}: {refusal.Message}");
        Directory.GetFileSystemEntries(other.Options.Data).ShouldBe([path], what);
        return refusal;
    }
}
