using System.Text.Json;

namespace Lockstep.Access.Jwt;

/// <summary>Finds a claim by its path and tells whether it matches.</summary>
internal static class ClaimPath
{
    /// <summary>
    /// The claim at <paramref name="path"/>. A dot goes one object down, but names hold dots too: the whole path is tried as one name first, then its longest
    /// beginning that leads on, so that of two readings it is always the same one. Each value is looked at once at most.
    /// </summary>
    public static bool TryFind(JsonElement claims, ReadOnlySpan<char> path, out JsonElement found)
    {
        found = default;
        if (claims.ValueKind != JsonValueKind.Object) return false;
        if (claims.TryGetProperty(path, out found)) return true;
        for (var dot = path.LastIndexOf('.'); dot > 0; dot = path[..dot].LastIndexOf('.'))
            if (claims.TryGetProperty(path[..dot], out var inner) && TryFind(inner, path[(dot + 1)..], out found)) return true;
        return false;
    }

    /// <summary>A text, one text of a list, or true, false and whole numbers as JSON writes them.</summary>
    public static bool Matches(JsonElement claim, Glob value) => claim.ValueKind switch
    {
        JsonValueKind.String => value.Matches(claim.GetString()),
        JsonValueKind.Array => claim.EnumerateArray().Any(item => item.ValueKind == JsonValueKind.String && value.Matches(item.GetString())),
        JsonValueKind.True => value.Matches("true"),
        JsonValueKind.False => value.Matches("false"),
        JsonValueKind.Number when claim.GetRawText() is var number && !number.AsSpan().ContainsAny('.', 'e', 'E') => value.Matches(number),
        _ => false,
    };
}
