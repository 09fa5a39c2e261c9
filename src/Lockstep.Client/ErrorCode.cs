namespace Lockstep.Client;

/// <summary>
/// The stable error codes of Lockstep's HTTP interface. One table serves the server (HTTP status), the client libraries and
/// the command line (exit status).
/// </summary>
public sealed class ErrorCode
{
    private static readonly Dictionary<string, ErrorCode> s_byName = new(StringComparer.Ordinal);

    private ErrorCode(string name, int status, int exitCode, string title)
    {
        Name = name;
        Status = status;
        ExitCode = exitCode;
        Title = title;
        s_byName.Add(name, this);
    }

    /// <summary>The request is malformed: a wrong type, an unknown field, a value outside its bounds.</summary>
    public static ErrorCode BadRequest { get; } = new("bad-request", 400, 2, "Bad request");

    /// <summary>No token, or one that is not valid (any more).</summary>
    public static ErrorCode Unauthenticated { get; } = new("unauthenticated", 401, 4, "Not authenticated");

    /// <summary>The token is valid but does not permit this.</summary>
    public static ErrorCode Forbidden { get; } = new("forbidden", 403, 4, "Forbidden");

    /// <summary>What was asked for does not exist.</summary>
    public static ErrorCode NotFound { get; } = new("not-found", 404, 3, "Not found");

    /// <summary>What was to be created exists.</summary>
    public static ErrorCode AlreadyExists { get; } = new("already-exists", 409, 5, "Already exists");

    /// <summary>The change contradicts the present state; the detail says how.</summary>
    public static ErrorCode Conflict { get; } = new("conflict", 409, 5, "Conflict");

    /// <summary>A condition of the request (<c>If-Match</c>, <c>cas</c>) does not hold.</summary>
    public static ErrorCode PreconditionFailed { get; } = new("precondition-failed", 412, 5, "Precondition failed");

    /// <summary>The body or a value is over its limit.</summary>
    public static ErrorCode TooLarge { get; } = new("too-large", 413, 2, "Too large");

    /// <summary>The configuration does not resolve: file, line and key are in <c>errors</c>.</summary>
    public static ErrorCode InvalidConfig { get; } = new("invalid-config", 422, 1, "Invalid configuration");

    /// <summary>The secret is locked by somebody else; see <c>Retry-After</c>.</summary>
    public static ErrorCode Locked { get; } = new("locked", 423, 5, "Locked");

    /// <summary>The request must carry <c>If-Match</c>.</summary>
    public static ErrorCode PreconditionRequired { get; } = new("precondition-required", 428, 2, "Precondition required");

    /// <summary>Too many requests; see <c>Retry-After</c>.</summary>
    public static ErrorCode RateLimited { get; } = new("rate-limited", 429, 6, "Rate limited");

    /// <summary>A defect of the server; its log has more under the request id in the detail.</summary>
    public static ErrorCode Internal { get; } = new("internal", 500, 1, "Internal error");

    /// <summary>Something the server depends on does not answer now; see <c>Retry-After</c>.</summary>
    public static ErrorCode Unavailable { get; } = new("unavailable", 503, 6, "Unavailable");

    /// <summary>All codes, in the order of their HTTP status.</summary>
    public static IReadOnlyCollection<ErrorCode> All => s_byName.Values;

    /// <summary>The word on the wire, such as <c>not-found</c>.</summary>
    public string Name { get; }

    /// <summary>The HTTP status it is answered with.</summary>
    public int Status { get; }

    /// <summary>The exit status of a command that fails with it.</summary>
    public int ExitCode { get; }

    /// <summary>A short human title (RFC 9457 <c>title</c>).</summary>
    public string Title { get; }

    /// <summary>The code of that name, or the nearest one for the HTTP status when the name is not known.</summary>
    public static ErrorCode From(string? name, int status) =>
        name is not null && s_byName.TryGetValue(name, out var code) ? code
        : s_byName.Values.FirstOrDefault(c => c.Status == status) ?? (status >= 500 ? Internal : BadRequest);

    /// <inheritdoc/>
    public override string ToString() => Name;
}
