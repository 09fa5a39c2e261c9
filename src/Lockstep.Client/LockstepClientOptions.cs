namespace Lockstep.Client;

/// <summary>How a <see cref="LockstepClient"/> reaches its server.</summary>
public sealed record LockstepClientOptions
{
    /// <summary>Where a server listens that was started without settings.</summary>
    public static Uri DefaultAddress { get; } = new("http://127.0.0.1:7400");

    /// <summary>The server: <c>http</c> or <c>https</c>, with a path prefix if it sits behind one. The first of <see cref="Addresses"/>; setting it makes it the only one.</summary>
    public Uri Address
    {
        get => Addresses is [var first, ..] ? first : throw new LockstepException(ErrorCode.BadRequest, "no address of a server is given");
        init => Addresses = [value];
    }

    /// <summary>Servers of one history, of any number: when one does not answer, the next is asked. Default: <see cref="DefaultAddress"/> alone.</summary>
    public IReadOnlyList<Uri> Addresses { get; init; } = [DefaultAddress];

    /// <summary>Gives the token for each request, so that a rolled one is picked up; null: requests go without.</summary>
    public Func<CancellationToken, ValueTask<string?>>? Token { get; init; }

    /// <summary>The name of this process among those that share the token; sent as <c>Lockstep-Instance</c>.</summary>
    public string? Instance { get; init; }

    /// <summary>Whether the token may go over plain <c>http</c> to another machine, where anybody on the way can read it.</summary>
    public bool AllowPlainHttp { get; init; }

    /// <summary>How long one call may take as a whole; default 30 seconds.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The addresses only; never the token.</summary>
    public override string ToString() => string.Join(", ", Addresses);
}
