using System.CommandLine;
using System.Text;
using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Cli;

/// <summary>Files that only their owner may read, for tokens.</summary>
internal static class PrivateFile
{
    public static Option<string?> Option() => new("--out") { Description = "Write the token to a new file that only you can read, and not to the output", HelpName = "FILE" };

    /// <summary>Makes a file that does not exist yet. Opened before the token is made: one that can't be written down would be lost.</summary>
    /// <exception cref="LockstepException">bad-request when it exists or can't be made.</exception>
    public static FileStream Create(string path)
    {
        try
        {
            return OwnersFile.Open(path, FileMode.CreateNew);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.BadRequest, $"{path} can't be made: {e.Message}", e);
        }
    }

    /// <summary>Writes one line and has it on disk when it returns.</summary>
    public static void WriteLine(FileStream file, string text)
    {
        file.Write(Encoding.UTF8.GetBytes(text + "\n"));
        file.Flush(flushToDisk: true);
    }
}
