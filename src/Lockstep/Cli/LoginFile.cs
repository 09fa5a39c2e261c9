using System.Security.Cryptography;
using System.Text;
using Lockstep.Access.Jwt;
using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Cli;

/// <summary>
/// The token of a person who logged in: a file of its own for each address, which is in the file's name, so that it is found for that address alone. In
/// <c>$XDG_CONFIG_HOME/lockstep/logins</c>, which only its owner may enter.
/// </summary>
internal static class LoginFile
{
    /// <summary>The token that was kept for the server at <paramref name="address"/>; null: nobody logged in there, or what was kept is damaged.</summary>
    public static Found? Find(string address)
    {
        if (PathOf(address) is not { } path || !File.Exists(path)) return null;
        var token = ClientSettings.ReadToken(path, "lockstep login");
        return CompactJws.TryParse(token.Value, out var jws) && EndOf(jws) is { } end ? token with { EndsAt = end } : null;
    }

    /// <summary>Keeps a token in the place of one before it; the path.</summary>
    public static string Write(string address, string token)
    {
        var path = PathOf(address) ?? throw new LockstepException(ErrorCode.BadRequest, "there is no folder for settings: set XDG_CONFIG_HOME or HOME");
        var directory = Path.GetDirectoryName(path)!;
        try
        {
            DataDirectory.Create(directory);
            OwnersFile.Replace(path, file => PrivateFile.WriteLine(file, token));
            return path;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.BadRequest, $"{path} can't be written: {e.Message}", e);
        }
    }

    /// <summary>Whether there was one.</summary>
    public static bool Remove(string address)
    {
        if (PathOf(address) is not { } path || !File.Exists(path)) return false;
        try
        {
            File.Delete(path);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.BadRequest, $"{path} can't be deleted: {e.Message}", e);
        }
    }

    private static DateTimeOffset? EndOf(CompactJws jws)
    {
        using (jws) return jws.Claims.TryGetProperty("exp", out var exp) && JwtClaims.TryTime(exp, out var end) ? end : null;
    }

    private static string? PathOf(string address)
    {
        if (!Uri.TryCreate(address, UriKind.Absolute, out var url)) return null;
        // A relative path there counts for nothing (XDG Base Directory Specification).
        var home = Environment.GetEnvironmentVariable("XDG_CONFIG_HOME") is { } given && Path.IsPathRooted(given)
            ? given
            : Environment.GetFolderPath(Environment.SpecialFolder.ApplicationData, Environment.SpecialFolderOption.DoNotVerify);
        if (home.Length == 0) return null;
        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(url.GetLeftPart(UriPartial.Path).TrimEnd('/'))));
        return Path.Combine(home, "lockstep", "logins", name);
    }
}
