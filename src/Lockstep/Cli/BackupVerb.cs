using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Storage;
using Lockstep.Storage.Backup;

namespace Lockstep.Cli;

/// <summary><c>lockstep backup</c>: everything of a running server in one encrypted file.</summary>
internal static class BackupVerb
{
    // The server makes the whole file before it sends its first byte.
    private static readonly TimeSpan s_limit = TimeSpan.FromHours(1);

    public static Command Build(GlobalOptions globals)
    {
        var verb = new Verb("backup", "Write everything of a running server, as of one moment, to one encrypted file",
            "lockstep backup --out lockstep.backup",
            "lockstep backup --out \"/backups/$(date +%F).backup\" --json")
        {
            Details = """
                Needs the role admin. Writes go on meanwhile. The file opens under the server's present master key, which is NOT in it:
                keep a copy of the key elsewhere, and after `lockstep rekey` the old key too, as long as you keep backups made under it.
                """,
        };
        var path = new Option<string>("--out") { Description = "The file to write; it must not exist yet", HelpName = "FILE", Required = true };
        verb.Add(path);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var file = Path.GetFullPath(session.Get(path)!);
            if (Path.Exists(file)) throw new LockstepException(ErrorCode.AlreadyExists, $"{file} exists; give another name, so that no backup is lost");
            var made = await WriteAsync(session, file, cancellationToken);
            session.Output.Result(made, CliJson.Default.BackupMade,
                text => text.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Output.Printable(made.File)}: {made.Bytes} bytes, release {made.Release}")));
            if (!session.Json) session.Output.Remark("the master key is not in it: keep a copy of that elsewhere, without it the backup is worth nothing");
        });
        return verb;
    }

    private static async Task<BackupMade> WriteAsync(Session session, string file, CancellationToken cancellationToken)
    {
        // Under the name that was asked for there is a whole backup, or nothing.
        var temporary = $"{file}.{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4))}.part";
        try
        {
            BackupHeader header;
            long bytes;
            await using (var stream = PrivateFile.Create(temporary))
            {
                using var client = new LockstepClient(session.Settings.ClientOptions(withToken: true) with { Timeout = s_limit });
                bytes = await client.BackupAsync(stream, cancellationToken);
                stream.Flush(flushToDisk: true);
            }
            await using (var stream = new FileStream(temporary, FileMode.Open, FileAccess.Read))
            {
                (header, _) = BackupHeader.ReadFrom(stream);
                OpeningStream.CheckLength(stream);
            }
            File.Move(temporary, file, overwrite: false);
            Posix.SyncDirectory(Path.GetDirectoryName(file)!);
            return new BackupMade(file, bytes, header.Release, header.CreatedAt);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.BadRequest, $"{file} can't be written: {e.Message}", e);
        }
        finally
        {
            File.Delete(temporary);
        }
    }
}

/// <summary>A backup that was written.</summary>
internal sealed record BackupMade(string File, long Bytes, long Release, DateTimeOffset CreatedAt);
