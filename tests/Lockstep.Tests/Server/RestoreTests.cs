using System.Diagnostics;
using System.Text;
using Lockstep.Client;
using Lockstep.Server;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Tests.Server;

/// <summary>Backups of what others had their hands in, and restores that fail late.</summary>
[Trait("speed", "medium")]
public sealed class RestoreTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Tables_and_columns_of_others_are_neither_in_a_backup_nor_in_its_way(bool postgres)
    {
        if (postgres && PostgresServer.Missing is { } missing)
        {
            output.WriteLine(missing);
            return;
        }
        using var repository = TestRepository.With(("shop.yml", "n: 1\n"));
        await using var server = await TestServer.StartAsync(repository, database: postgres ? await PostgresServer.CreateDatabaseAsync() : null);
        (await server.PutAsync("shop/db", "kept")).Ok();
        await server.ExecuteAsync("CREATE TABLE audit_old AS SELECT * FROM audit");
        await server.ExecuteAsync("CREATE TABLE \"of others\" (at TIMESTAMP, n NUMERIC)");
        await server.ExecuteAsync("INSERT INTO \"of others\" VALUES ('2026-01-01', 1.5)");
        await server.ExecuteAsync("ALTER TABLE secrets ADD COLUMN \"their note\" NUMERIC DEFAULT 1.5");
        var (file, release) = await RestoredServer.BackupAsync(server, "a.backup");
        var (restored, report) = await RestoredServer.RestoreAsync(server, file, postgres ? await PostgresServer.CreateDatabaseAsync() : null);
        await using var owned = restored;
        (report.Release, report.Secrets).ShouldBe((release, 1));
        await restored.StartAsync();
        (await restored.Gate.Secrets.ReadAsync(Lockstep.Secrets.SecretId.Parse("shop/db"), 1, CancellationToken.None)).Reveal().ShouldBe("kept");
    }

    [Fact]
    public async Task A_database_whose_log_was_not_written_out_is_not_put_in_place()
    {
        await using var server = await StartAsync();
        var (file, _) = await RestoredServer.BackupAsync(server, "a.backup");
        await using var place = Place(server);
        // Who holds it open keeps SQLite from emptying its log at the end, as a full disk would.
        using var holder = new SqliteConnection($"Data Source={Path.Combine(place.Options.Data, ".restoring", "lockstep.db")};Mode=ReadOnly;Pooling=False");
        using var loggers = new Hook(() =>
        {
            if (holder.State == System.Data.ConnectionState.Open) return;
            holder.Open();
            using var command = holder.CreateCommand();
            command.CommandText = "SELECT count(*) FROM meta";
            command.ExecuteScalar();
        });
        var refusal = await Should.ThrowAsync<LockstepException>(new Restore(place.Options, loggers, TimeProvider.System).RunAsync(file, false, CancellationToken.None));
        refusal.Message.ShouldContain("could not be written out");
        Directory.GetFileSystemEntries(place.Options.Data).ShouldBe([Path.Combine(place.Options.Data, "master.key")]);
    }

    [Fact]
    public async Task A_PostgreSQL_is_filled_after_the_repository_is_in_its_place()
    {
        if (PostgresServer.Missing is { } missing)
        {
            output.WriteLine(missing);
            return;
        }
        await using var server = await StartAsync();
        var (file, _) = await RestoredServer.BackupAsync(server, "a.backup");
        var url = await PostgresServer.CreateDatabaseAsync();
        await using var place = Place(server);
        var inTheWay = Path.Combine(place.Options.Data, "config.git");
        using (var loggers = new Hook(() => File.WriteAllText(inTheWay, "")))
            await Should.ThrowAsync<IOException>(new Restore(place.Options with { Database = url }, loggers, TimeProvider.System).RunAsync(file, false, CancellationToken.None));
        File.Delete(inTheWay);
        // Nothing is in the database, so that it is done again.
        await RestoredServer.RunAsync(place.Options with { Database = url }, file);
        Directory.Exists(inTheWay).ShouldBeTrue();
    }

    [Fact]
    public async Task The_keys_of_a_change_and_of_before_may_lie_in_the_directory_and_a_place_without_a_key_is_passed_over()
    {
        await using var server = await StartAsync();
        var (file, release) = await RestoredServer.BackupAsync(server, "a.backup");
        await using var place = Place(server);
        var data = place.Options.Data;
        File.Move(Path.Combine(data, "master.key"), Path.Combine(data, "old.key.next"));
        var options = place.Options with { MasterKey = new MasterKeyOptions { Env = "LOCKSTEP_TEST_NEVER_SET", Previous = new MasterKeyOptions { File = Path.Combine(data, "old.key") } } };
        (await RestoredServer.RunAsync(options, file)).Release.ShouldBe(release);
        // When no place has it, each says why.
        await using var other = Place(server);
        File.Delete(Path.Combine(other.Options.Data, "master.key"));
        options = options with { Data = other.Options.Data };
        File.Delete(Path.Combine(data, "old.key.next"));
        var refusal = await Should.ThrowAsync<LockstepException>(RestoredServer.RunAsync(options, file));
        refusal.Message.ShouldContain("made under another master key than that from " + Path.Combine(data, "old.key"));
        refusal.Message.ShouldContain("LOCKSTEP_TEST_NEVER_SET");
    }

    [Fact]
    public async Task Commits_that_Git_would_not_write_today_are_restored()
    {
        await using var server = await StartAsync();
        var git = Path.Combine(server.Options.Data, "config.git");
        var tree = Git(git, null, "rev-parse", "main^{tree}");
        var odd = Git(git, $"tree {tree}\nauthor nobody 1 +0000\ncommitter nobody 1 +9\n\nodd\n", "hash-object", "-t", "commit", "-w", "--literally", "--stdin");
        Git(git, null, "update-ref", "refs/heads/odd", odd);
        var (file, _) = await RestoredServer.BackupAsync(server, "a.backup");
        var (restored, _) = await RestoredServer.RestoreAsync(server, file);
        await using var owned = restored;
        Git(Path.Combine(restored.Options.Data, "config.git"), null, "rev-parse", "refs/heads/odd").ShouldBe(odd);
    }

    [Fact]
    public async Task What_a_killed_backup_left_is_removed_by_the_next_start()
    {
        await using var server = await StartAsync();
        var spool = Path.Combine(server.Options.Data, "backup.spool");
        await server.StopAsync();
        await File.WriteAllTextAsync(spool, "half");
        await server.StartAsync();
        File.Exists(spool).ShouldBeFalse();
        // And where one can't be written, that is said.
        Directory.CreateDirectory(spool);
        (await server.Admin.GetAsync("/v1/backup")).ShouldBe(503, "unavailable");
        await server.RestartAsync();
    }

    [Theory]
    [InlineData("postgres://lockstep:hunter2@db/lockstep")]
    [InlineData("postgres://lockstep@db/lockstep?password=hunter2")]
    [InlineData("Host=db;Username=lockstep;Password=hunter2")]
    public async Task A_password_in_an_argument_is_refused_without_repeating_it(string url)
    {
        using var lockstep = new Cli.LockstepProcess();
        var ended = await lockstep.RunAsync("restore", "a.backup", "--data", lockstep.Directory, "--database", url);
        ended.ExitCode.ShouldBe(2);
        ended.Error.ShouldContain("holds a password");
        (ended.Output + ended.Error).ShouldNotContain("hunter2");
    }

    private static async Task<TestServer> StartAsync()
    {
        var server = await TestServer.StartEmbeddedAsync();
        (await server.PutAsync("shop/db", "kept")).Ok();
        (await server.Admin.SendAsync("PUT", "/v1/files/shop.yml", "n: 1\n", ("If-None-Match", "*"))).Ok();
        return server;
    }

    // A place with nothing but the key.
    private static TestServer Place(TestServer from)
    {
        var place = TestServer.Create("", o => o with { Config = from.Options.Config });
        Directory.CreateDirectory(place.Options.Data);
        File.Copy(Path.Combine(from.Options.Data, "master.key"), Path.Combine(place.Options.Data, "master.key"));
        return place;
    }

    private static string Git(string directory, string? input, params string[] arguments)
    {
        var start = new ProcessStartInfo("git", ["--git-dir=" + directory, .. arguments]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        using var process = Process.Start(start)!;
        process.StandardInput.BaseStream.Write(Encoding.UTF8.GetBytes(input ?? ""));
        process.StandardInput.Close();
        var text = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        process.ExitCode.ShouldBe(0, string.Join(' ', arguments));
        return text;
    }

    /// <summary>Comes in between when the restored database is opened to be checked.</summary>
    private sealed class Hook(Action opening) : ILoggerFactory
    {
        public ILogger CreateLogger(string categoryName)
        {
            opening();
            return NullLogger.Instance;
        }

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public void Dispose()
        {
        }
    }
}
