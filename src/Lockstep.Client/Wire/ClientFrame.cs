namespace Lockstep.Client;

/// <summary>
/// What a client sends over a watch connection, one JSON object in one text message. <see cref="Op"/> says which of the others belong to it:
/// <c>hello</c> {instance?, client?, token?}, <c>subscribe</c> {id, service, environment, label?, etag?, release?}, <c>unsubscribe</c> {id},
/// <c>applied</c> {id, release, etag}, <c>failed</c> {id, release, etag, reason?}.
/// </summary>
internal sealed record ClientFrame
{
    public required string Op { get; init; }

    public string? Instance { get; init; }

    public string? Client { get; init; }

    public string? Token { get; init; }

    public int? Id { get; init; }

    public string? Service { get; init; }

    public string? Environment { get; init; }

    public string? Label { get; init; }

    public string? Etag { get; init; }

    public long? Release { get; init; }

    public string? Reason { get; init; }

    /// <summary>The op only: a frame may hold a token.</summary>
    public override string ToString() => Op;
}
