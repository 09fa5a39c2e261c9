using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Cli;

/// <summary>The folder <c>.lockstep</c> that <c>lockstep dev</c> keeps; <see cref="DevServer"/> is how the other verbs read it.</summary>
internal sealed class DevHome
{
    private readonly string _path;

    private DevHome(string path) => _path = path;

    public string DataPath => Path.Combine(_path, "data");

    public string TokenPath => Path.Combine(_path, "token");

    public static DevHome Make(string directory)
    {
        var path = Path.Combine(directory, ".lockstep");
        try
        {
            if (OperatingSystem.IsWindows()) Directory.CreateDirectory(path);
            else Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            // Whatever repository this stands in: a token must not be committed.
            File.WriteAllText(Path.Combine(path, ".gitignore"), "*\n");
            return new DevHome(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"{path} can't be made: {e.Message}", e);
        }
    }

    public void WriteToken(string token) => Write(TokenPath, token);

    public void WriteAddress(string address) => Write(AddressPath, address);

    public void DeleteAddress() => File.Delete(AddressPath);

    private string AddressPath => Path.Combine(_path, "address");

    // Readers see the old content or the new, and nobody else can read either.
    private static void Write(string path, string text) => OwnersFile.Replace(path, file => PrivateFile.WriteLine(file, text));
}
