using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary>The flags that <see cref="ClientSettings"/> begins with.</summary>
internal sealed record ConnectionFlags(string? Address, string? TokenFile, bool Insecure);

/// <summary>A setting and where it was found.</summary>
internal sealed record Found(string Value, string Origin)
{
    /// <summary>The file it was read from, where it was.</summary>
    public string? File { get; init; }

    /// <summary>When a token ends that says so itself.</summary>
    public DateTimeOffset? EndsAt { get; init; }
}

/// <summary>
/// Where the server is and who asks. Each setting on its own: flag, then variable, then <c>.lockstep/</c> (a development server
/// in or above the working directory), then <c>lockstep.yaml</c> there, then the default. The token of <c>.lockstep/</c> goes to the
/// address of <c>.lockstep/</c> and nowhere else, and one that was logged in with, which comes last, to the address it was for.
/// </summary>
internal sealed class ClientSettings
{
    private const int MaxTokenFile = 20 * 1024;

    private readonly bool _insecure;

    private ClientSettings(Found address, Found? token, bool insecure, ProjectFile? project)
    {
        AddressFound = address;
        Token = token;
        _insecure = insecure;
        Project = project;
    }

    public Found AddressFound { get; }

    /// <summary>The token's text and its origin; null: there is none.</summary>
    public Found? Token { get; }

    public ProjectFile? Project { get; }

    public string? Service => Variable("LOCKSTEP_SERVICE") ?? Project?.Service;

    public string? Environment => Variable("LOCKSTEP_ENVIRONMENT") ?? Project?.Environment;

    public static string? Instance => Variable("LOCKSTEP_INSTANCE");

    public static ClientSettings Load(ConnectionFlags flags)
    {
        var directory = Directory.GetCurrentDirectory();
        var project = ProjectFile.Find(directory);
        var dev = DevServer.Find(directory);
        var address = Flag(flags.Address, "--addr") ?? FromVariable("LOCKSTEP_ADDR")
            ?? (dev?.Address is { } running ? new Found(running, dev.AddressPath) : null)
            ?? (project?.Address is { } a ? new Found(a, project.Path) : null)
            ?? (dev is null ? new Found(LockstepClientOptions.DefaultAddress.ToString(), "the default") : throw NotRunning(dev));
        var token = flags.TokenFile is { } file ? ReadToken(file, "--token-file")
            : FromVariable("LOCKSTEP_TOKEN")
            ?? (Variable("LOCKSTEP_TOKEN_FILE") is { } named ? ReadToken(named, "LOCKSTEP_TOKEN_FILE") : null)
            ?? (dev?.Address is { } here && SameAddress(here, address.Value) ? ReadToken(dev.TokenPath, null) : null)
            ?? LoginFile.Find(address.Value);
        return new(address, token, flags.Insecure, project);
    }

    private static LockstepException NotRunning(DevServer dev) =>
        new(ErrorCode.Unavailable, $"no server of {Path.GetDirectoryName(dev.TokenPath)} runs: start it with `lockstep dev`, or say --addr");

    /// <summary>A client with these settings.</summary>
    public LockstepClient Connect() => new(ClientOptions(withToken: true));

    public LockstepClient Connect(bool withToken) => withToken && Token is not null ? Connect() : new(ClientOptions(withToken: false));

    /// <summary>What a client or a store with these settings needs. A token from a file is read anew each time, so that one that was put in its place is picked up.</summary>
    public LockstepClientOptions ClientOptions(bool withToken)
    {
        if (withToken && Token is null)
            throw new LockstepException(ErrorCode.Unauthenticated,
                $"there is no token for {AddressFound.Value}: set LOCKSTEP_TOKEN or LOCKSTEP_TOKEN_FILE, give --token-file FILE, or run `lockstep login`");
        if (withToken && Token is { EndsAt: { } ended } && ended <= TimeProvider.System.GetUtcNow())
            throw new LockstepException(ErrorCode.Unauthenticated, $"the login at {AddressFound.Value} ended at {Output.Time(ended)}: run `lockstep login`");
        if (!Uri.TryCreate(AddressFound.Value, UriKind.Absolute, out var address))
            throw new LockstepException(ErrorCode.BadRequest, $"the address '{AddressFound.Value}' ({AddressFound.Origin}) is not a URL: write it as https://host:port");
        var token = withToken ? Token : null;
        return new LockstepClientOptions
        {
            Address = address,
            Token = token is null ? null : _ => ValueTask.FromResult<string?>(token.File is { } file ? ReadAgain(file) ?? token.Value : token.Value),
            Instance = Instance,
            AllowPlainHttp = _insecure,
        };
    }

    /// <summary>Why a file with a token must not be used; null: it may.</summary>
    public static string? Exposed(string path) =>
        !OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & (UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite)) != UnixFileMode.None
            ? $"{path} holds a token and others than its owner can read it: chmod 600 {path}"
            : null;

    /// <summary>Empty counts as not set, as for most programs.</summary>
    private static string? Variable(string name) => System.Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;

    private static Found? FromVariable(string name) => Variable(name) is { } value ? new(value, name) : null;

    private static Found? Flag(string? value, string name) => value is null ? null : new(value, name);

    public static Found ReadToken(string path, string? origin)
    {
        var where = origin is null ? path : $"{path} ({origin})";
        try
        {
            if (Exposed(path) is { } exposed) throw new LockstepException(ErrorCode.BadRequest, exposed);
            return new(BoundedFile.ReadText(path, MaxTokenFile, "a token").Trim(), where) { File = path };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.BadRequest, $"the token can't be read from {where}: {e.Message}", e);
        }
    }

    /// <summary>Null: not now, as while somebody replaces it.</summary>
    private static string? ReadAgain(string path)
    {
        try
        {
            return Exposed(path) is null && BoundedFile.ReadText(path, MaxTokenFile, "a token").Trim() is { Length: > 0 } text ? text : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or LockstepException)
        {
            return null;
        }
    }

    private static bool SameAddress(string one, string other) =>
        Uri.TryCreate(one, UriKind.Absolute, out var a) && Uri.TryCreate(other, UriKind.Absolute, out var b) && a == b;
}
