using System.Text.Json;
using System.Text.Json.Serialization;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary>What a verb prints with --json where the HTTP interface has no body of its own.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(JsonElement))]
[JsonSerializable(typeof(BackupMade))]
[JsonSerializable(typeof(DoctorReport))]
[JsonSerializable(typeof(Done))]
[JsonSerializable(typeof(ImportPlan))]
[JsonSerializable(typeof(ImportReport))]
[JsonSerializable(typeof(InitResult))]
[JsonSerializable(typeof(DevStarted))]
[JsonSerializable(typeof(LoginResult))]
[JsonSerializable(typeof(ValidationReport))]
[JsonSerializable(typeof(Server.RestoreReport))]
[JsonSerializable(typeof(string))]
internal sealed partial class CliJson : JsonSerializerContext;

/// <summary>Something is done that answers nothing: its name or id.</summary>
internal sealed record Done
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Id { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Name { get; init; }
}

/// <summary>What an import wrote, in order.</summary>
internal sealed record ImportReport(IReadOnlyList<SecretWritten> Items);

/// <summary>What an import would write, in order.</summary>
internal sealed record ImportPlan(IReadOnlyList<string> Ids);

/// <summary>What the doctor found.</summary>
internal sealed record DoctorReport(bool Healthy, IReadOnlyList<Finding> Checks);

/// <summary>One check: <c>ok</c>, <c>warning</c> or <c>failed</c>, what was seen, and what to do about it.</summary>
internal sealed record Finding(string Check, string State, string Detail, string? Advice = null)
{
    public static Finding Ok(string check, string detail) => new(check, "ok", detail);

    public static Finding Warning(string check, string detail, string advice) => new(check, "warning", detail, advice);

    public static Finding Failed(string check, string detail, string? advice = null) => new(check, "failed", detail, advice);
}
