using Lockstep.Client;

namespace Lockstep.Config.Formats;

/// <summary>The text formats a document can be asked for in, beside the flat JSON of the wire.</summary>
internal static class DocumentFormat
{
    public static IReadOnlyList<string> Names { get; } = ["nested", "yaml", "properties", "dotenv"];

    /// <summary>Writes flat keys and values; keys must be distinct.</summary>
    /// <exception cref="LockstepException">bad-request: the format is not known, or a key has no name in it.</exception>
    public static string Write(string format, IEnumerable<(string Key, ScalarValue Value)> values) => format switch
    {
        "nested" => NestedJsonWriter.Write(NestedTree.Build(values)),
        "yaml" => YamlWriter.Write(NestedTree.Build(values)),
        "properties" => PropertiesWriter.Write(values),
        "dotenv" => DotenvWriter.Write(values),
        _ => throw new LockstepException(ErrorCode.BadRequest, $"the format '{format}' is not known; use json, {string.Join(", ", Names)}"),
    };
}
