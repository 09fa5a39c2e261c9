using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>A version of a secret that a token was given, by the record.</summary>
public sealed record ExposedSecret
{
    /// <summary>The secret's id.</summary>
    public required string Secret { get; init; }

    /// <summary>Which version of it.</summary>
    public required int Version { get; init; }

    /// <summary>When it was given first.</summary>
    public required DateTimeOffset First { get; init; }

    /// <summary>When it was given last.</summary>
    public required DateTimeOffset Last { get; init; }

    /// <summary>How many times.</summary>
    public required long Count { get; init; }

    /// <summary>To which instances, as they named themselves; sorted.</summary>
    public IReadOnlyList<string> Instances { get; init => field = value ?? []; } = [];

    /// <summary>By which ways: <c>GET /v1/config</c>, <c>GET /v1/watch</c>, …; sorted.</summary>
    public IReadOnlyList<string> Routes { get; init => field = value ?? []; } = [];

    /// <summary>To which addresses; sorted.</summary>
    public IReadOnlyList<string> Addresses { get; init => field = value ?? []; } = [];

    /// <summary>Whether there were more instances, routes or addresses than are listed.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool More { get; init; }
}
