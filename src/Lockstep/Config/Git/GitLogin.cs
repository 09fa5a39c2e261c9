using Lockstep.Client;
using Lockstep.Settings;

namespace Lockstep.Config.Git;

/// <summary>How git gets at passwords and keys.</summary>
internal static class GitLogin
{
    // printf and read are built into every sh, so the password is in no argument list. Only the first line counts, as editors add a newline.
    private const string Helper =
        "!f() { test \"$1\" = get || return 0; "
        + "if test -n \"$LOCKSTEP_GIT_PASSWORD_FILE\"; then IFS= read -r p <\"$LOCKSTEP_GIT_PASSWORD_FILE\" || test -n \"$p\" || return 1; "
        + "else p=$LOCKSTEP_GIT_PASSWORD; fi; p=${p%\"$(printf '\\r')\"}; "
        + "printf 'username=%s\\npassword=%s\\n' \"$LOCKSTEP_GIT_USERNAME\" \"$p\"; }; f";

    public static void FillHttp(
        GitCredentials? credentials, Uri uri, IDictionary<string, string?> environment, List<(string Key, string Value)> config,
        IReadOnlyDictionary<string, string?> inherited)
    {
        if ((credentials?.PasswordFile ?? credentials?.PasswordEnv) is null)
            return;
        // Scoped to the remote's scheme, host and port: a redirect elsewhere gets nothing.
        config.Add(($"credential.{uri.GetLeftPart(UriPartial.Authority)}.helper", Helper));
        environment["LOCKSTEP_GIT_USERNAME"] = credentials!.Username;
        if (credentials.PasswordFile is not null)
            environment["LOCKSTEP_GIT_PASSWORD_FILE"] = Path.GetFullPath(credentials.PasswordFile);
        else
            environment["LOCKSTEP_GIT_PASSWORD"] = inherited.TryGetValue(credentials.PasswordEnv!, out var password) ? password : null;
    }

    public static string SshCommand(GitCredentials? credentials)
    {
        var options = new List<string>
        {
            "ssh", "-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oConnectTimeout=20", "-oControlMaster=no", "-oControlPath=none",
            "-oForwardAgent=no", "-oPermitLocalCommand=no", "-oServerAliveInterval=15",
        };
        if (credentials?.SshKeyFile is { } key)
            options.AddRange(["-oIdentitiesOnly=yes", "-i", Token(key)]);
        if (credentials?.KnownHostsFile is { } hosts)
            options.Add($"-oUserKnownHostsFile=\"{Token(hosts)}\"");
        return string.Join(' ', options.Select(o => "'" + o.Replace("'", "'\\''", StringComparison.Ordinal) + "'"));

        // ssh expands %-tokens in paths.
        static string Token(string path) => Path.GetFullPath(path).Replace("%", "%%", StringComparison.Ordinal);
    }

    /// <summary>
    /// Throws when a file or variable that is to log in with is missing. A password that others on the machine may read is a warning, not an error:
    /// container platforms mount secrets that way. (ssh itself refuses such keys.)
    /// </summary>
    public static void Check(GitCredentials? credentials, GitTransport transport, Action<string> warn)
    {
        if (credentials is null || transport == GitTransport.Local)
            return;
        if (transport == GitTransport.Ssh)
        {
            MustRead("sshKeyFile", credentials.SshKeyFile);
            MustRead("knownHostsFile", credentials.KnownHostsFile);
            return;
        }

        if (credentials.Username.Any(char.IsControl))
            throw Refuse("username", "has control characters");
        if (credentials.PasswordFile is { } file)
        {
            MustRead("passwordFile", file);
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(Path.GetFullPath(file)) & (UnixFileMode.GroupRead | UnixFileMode.OtherRead)) != UnixFileMode.None)
                warn($"config.credentials.passwordFile: other users of this machine can read {file}; `chmod 600` it unless the platform mounts it so");
        }
        else if (credentials.PasswordEnv is { } name)
        {
            var value = Environment.GetEnvironmentVariable(name);
            if (string.IsNullOrEmpty(value))
                throw Refuse("passwordEnv", $"names the environment variable {name}, which is not set");
            if (value.Any(char.IsControl))
                throw Refuse("passwordEnv", $"names the environment variable {name}, whose value has control characters");
        }
    }

    private static void MustRead(string setting, string? path)
    {
        if (path is null)
            return;
        if (path.Contains('"', StringComparison.Ordinal) || path.Any(char.IsControl))
            throw Refuse(setting, "has a quote or control characters in its path");
        try
        {
            using var stream = File.OpenRead(path);
            if (stream.ReadByte() < 0)
                throw Refuse(setting, $"names {path}, which is empty");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Refuse(setting, File.Exists(path) ? $"names {path}, which cannot be read" : $"names {path}, which does not exist");
        }
    }

    private static LockstepException Refuse(string setting, string reason) => new(ErrorCode.BadRequest, $"config.credentials.{setting} {reason}");
}
