using System.Text.Json.Serialization;

namespace Lockstep.Releases;

/// <summary>JSON that stands in the database.</summary>
[JsonSerializable(typeof(string[]))]
internal sealed partial class ReleaseJson : JsonSerializerContext;
