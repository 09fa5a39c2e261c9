using System.Net;
using System.Text.RegularExpressions;
using Lockstep.Client;
using Lockstep.Settings;

namespace Lockstep.Config.Git;

internal enum GitTransport { Local, Http, Ssh }

/// <summary>
/// Where a mirror comes from and how to log in there. Only what <see cref="Parse"/> understands reaches git: no remote helpers, no options, no
/// credentials in the URL.
/// </summary>
internal sealed partial class GitRemote
{
    private readonly GitCredentials? _credentials;
    private readonly Uri? _uri;

    private GitRemote(string url, GitTransport transport, Uri? uri, GitCredentials? credentials)
    {
        Url = url;
        Transport = transport;
        _uri = uri;
        _credentials = credentials;
    }

    /// <summary>An absolute path or a URL, free of secrets: for git, for messages, and to tell which remote a mirror was made of.</summary>
    public string Url { get; }

    public GitTransport Transport { get; }

    private bool IsLoopback => _uri is not null && (_uri.IsLoopback || (IPAddress.TryParse(_uri.DnsSafeHost, out var address) && IPAddress.IsLoopback(address)));

    public static GitRemote Parse(string url, GitCredentials? credentials)
    {
        if (url.Length is 0 or > 2000 || url.Any(char.IsControl) || url != url.Trim())
            throw Refuse(url, "it is empty, too long, or has spaces or control characters at its ends or inside");
        if (url[0] == '-')
            throw Refuse(url, "it begins with '-'");
        if (RemoteHelper().IsMatch(url))
            throw Refuse(url, "remote helpers (`name::address`) are not supported; use a local path or a file:, http:, https: or ssh: URL");
        if (url.StartsWith("file:", StringComparison.Ordinal))
            return Local(FilePath(url));
        if (url.Contains("://", StringComparison.Ordinal))
            return Network(url, credentials);
        var colon = url.IndexOf(':', StringComparison.Ordinal);
        var slash = url.IndexOf('/', StringComparison.Ordinal);
        return colon > 0 && (slash < 0 || colon < slash) && !OperatingSystem.IsWindows() ? ScpLike(url, credentials) : Local(url);
    }

    /// <summary>Adds what a run needs that talks to this remote. Secrets are never in an argument or a config value: a helper reads them where they are.</summary>
    public void Fill(
        IDictionary<string, string?> environment, List<(string Key, string Value)> config, IReadOnlyDictionary<string, string?> inherited, string gitDirectory)
    {
        switch (Transport)
        {
            case GitTransport.Local:
                // The operator named this very path, so that it belongs to another user (a mounted volume) is no reason to refuse it. What serves it
                // ignores our command's config, hence the file.
                environment["GIT_ALLOW_PROTOCOL"] = "file";
                environment["GIT_CONFIG_GLOBAL"] = TrustFile(gitDirectory);
                break;
            case GitTransport.Http:
                environment["GIT_ALLOW_PROTOCOL"] = "http:https";
                Pass(inherited, environment, "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR");
                // What goes to this machine must not go by another one.
                if (!IsLoopback)
                    Pass(inherited, environment, "http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY");
                GitLogin.FillHttp(_credentials, _uri!, environment, config, inherited);
                break;
            default:
                environment["GIT_ALLOW_PROTOCOL"] = "ssh";
                environment["GIT_SSH_VARIANT"] = "ssh";
                environment["GIT_SSH_COMMAND"] = GitLogin.SshCommand(_credentials);
                if (_credentials?.SshKeyFile is null)
                    Pass(inherited, environment, "SSH_AUTH_SOCK");
                break;
        }
    }

    /// <summary>Throws when the remote can be seen to be unusable without asking it.</summary>
    public void CheckBeforeUse(Action<string> warn)
    {
        GitLogin.Check(_credentials, Transport, warn);
        if (Transport != GitTransport.Local)
            return;
        if (!Directory.Exists(Url))
        {
            throw new LockstepException(
                ErrorCode.NotFound,
                File.Exists(Url) ? $"config.url: {Url} is a file, not a Git repository" : $"config.url: the path {Url} does not exist");
        }

        var isRepository = Path.Exists(Path.Combine(Url, ".git")) || (File.Exists(Path.Combine(Url, "HEAD")) && Directory.Exists(Path.Combine(Url, "objects")));
        if (!isRepository)
        {
            throw new LockstepException(
                ErrorCode.NotFound, $"config.url: the directory {Url} is not a Git repository; make it one with `git init` there, or name the one that is meant");
        }
    }

    /// <summary>The file that lets git serve a local repository which belongs to another user.</summary>
    public static string TrustFile(string gitDirectory) => Path.Combine(gitDirectory, "lockstep-trust");

    [GeneratedRegex("^[A-Za-z0-9_+.-]+::", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex RemoteHelper();

    [GeneratedRegex(@"^(?:[A-Za-z0-9._][A-Za-z0-9._-]*@)?(?:[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]):(?!-|[^/]*@).+$", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex ScpForm();

    [GeneratedRegex("^[A-Za-z0-9._][A-Za-z0-9._-]*$", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex SshUser();

    private static GitRemote Local(string path) => new(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)), GitTransport.Local, null, null);

    private static string FilePath(string url)
    {
        if (!Uri.TryCreate(url, UriKind.Absolute, out var uri) || !uri.IsFile || uri.Host.Length > 0 || uri.LocalPath.Contains('\0', StringComparison.Ordinal))
            throw Refuse(url, "a file: URL must be file:///absolute/path");
        return uri.LocalPath;
    }

    private static GitRemote ScpLike(string url, GitCredentials? credentials) =>
        ScpForm().IsMatch(url)
            ? new GitRemote(url, GitTransport.Ssh, null, credentials)
            : throw Refuse(url, "it is neither a path nor user@host:path (a password does not belong in it: use config.credentials)");

    private static GitRemote Network(string url, GitCredentials? credentials)
    {
        var scheme = url[..url.IndexOf("://", StringComparison.Ordinal)];
        if (scheme is not ("http" or "https" or "ssh"))
            throw Refuse(url, "its protocol is not supported; use a local path or a file:, http:, https: or ssh: URL (in lower case)");
        if (!Uri.TryCreate(url, UriKind.Absolute, out var uri) || uri.Host.Length == 0 || uri.Host[0] == '-' || url.Contains(' ', StringComparison.Ordinal))
            throw Refuse(url, "it is not a valid URL");
        if (uri.Query.Length > 0 || uri.Fragment.Length > 0)
            throw Refuse(url, "it has a query or a fragment");
        if (scheme == "ssh")
        {
            if (uri.UserInfo.Contains(':', StringComparison.Ordinal))
                throw Refuse(url, "it holds a password; SSH logs in with a key: config.credentials.sshKeyFile");
            if (uri.UserInfo.Length > 0 && !SshUser().IsMatch(uri.UserInfo))
                throw Refuse(url, "its user name has characters that are not supported");
            return new GitRemote(url, GitTransport.Ssh, uri, credentials);
        }

        var authority = url[(scheme.Length + 3)..];
        authority = authority.IndexOf('/', StringComparison.Ordinal) is >= 0 and var end ? authority[..end] : authority;
        if (uri.UserInfo.Length > 0 || authority.Contains('@', StringComparison.Ordinal))
        {
            throw Refuse(url, "it holds credentials, which would end up in process lists and logs; put them under config.credentials (username, passwordFile or passwordEnv)");
        }

        var remote = new GitRemote(url, GitTransport.Http, uri, credentials);
        if (scheme == "http" && !remote.IsLoopback && (credentials?.PasswordFile ?? credentials?.PasswordEnv) is not null)
            throw Refuse(url, "a password would cross the network in plain text; use https:");
        return remote;
    }

    private static void Pass(IReadOnlyDictionary<string, string?> from, IDictionary<string, string?> to, params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (from.TryGetValue(name, out var value) && !string.IsNullOrEmpty(value))
                to[name] = value;
        }
    }

    private static LockstepException Refuse(string url, string reason) => new(ErrorCode.BadRequest, $"config.url: {Redact(url)} is refused: {reason}");

    /// <summary>A refused URL may hold anything: what could be a user name, password or query is left out.</summary>
    private static string Redact(string url)
    {
        var start = url.IndexOf("://", StringComparison.Ordinal) is >= 0 and var i ? i + 3 : 0;
        var at = url.LastIndexOf('@');
        var text = at >= start ? string.Concat(url.AsSpan(0, start), "***@", url.AsSpan(at + 1)) : url;
        text = text.IndexOfAny(['?', '#']) is >= 0 and var q ? string.Concat(text.AsSpan(0, q), "…") : text;
        text = string.Concat(text.Take(200).Select(c => char.IsControl(c) ? '?' : c));
        return $"'{text}'";
    }
}
