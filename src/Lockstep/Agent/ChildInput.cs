using System.Text.Json;
using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>What a document gives to a child: variables, or with <c>--mount</c> files.</summary>
internal sealed record ChildInput(IReadOnlyDictionary<string, string> Variables, IReadOnlyDictionary<string, string> Files)
{
    private static readonly Dictionary<string, string> s_none = new(StringComparer.Ordinal);

    /// <exception cref="LockstepException">invalid-config with the keys that can't be variables or files, and no value.</exception>
    public static ChildInput From(Snapshot snapshot, RunOptions options)
    {
        var values = Texts(snapshot, options.OnlySecrets);
        return options.Mount is null
            ? new(ChildEnvironment.From(snapshot, values), s_none)
            : new(s_none, SecretMount.FilesOf(snapshot, values));
    }

    /// <summary>Whether a child would not see a difference.</summary>
    public bool IsSame(ChildInput other) => IsSame(Variables, other.Variables) && IsSame(Files, other.Files);

    /// <summary>Names only.</summary>
    public override string ToString() => string.Join(", ", Variables.Keys.Concat(Files.Keys));

    /// <summary>The text of each value, in the order of the keys.</summary>
    public static SortedDictionary<string, string> Texts(Snapshot snapshot, bool onlySecrets)
    {
        var secrets = onlySecrets ? snapshot.Secrets.ToHashSet(StringComparer.Ordinal) : null;
        var texts = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (key, json) in snapshot.Values)
            if (secrets?.Contains(key) != false)
                texts.Add(key, TextOf(json));
        return texts;
    }

    private static bool IsSame(IReadOnlyDictionary<string, string> one, IReadOnlyDictionary<string, string> other) =>
        one.Count == other.Count && one.All(v => other.TryGetValue(v.Key, out var value) && value == v.Value);

    private static string TextOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString()!,
        JsonValueKind.Null => "",
        _ => value.GetRawText(),
    };
}
