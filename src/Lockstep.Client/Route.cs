using System.Text;

namespace Lockstep.Client;

/// <summary>Builds the relative URL of a call: every segment and every query value is percent-encoded, so that no name can change the route.</summary>
internal sealed class Route
{
    private readonly StringBuilder _url = new();
    private char _separator = '?';

    public Route(string root) => _url.Append(root);

    /// <summary>Adds one segment.</summary>
    public Route Segment(string what, string name)
    {
        // A URL can't carry these: they would be taken away together with the segment before.
        if (name is "" or "." or "..") throw new LockstepException(ErrorCode.BadRequest, $"{what} is '{name}', which is not a name");
        _url.Append('/').Append(Uri.EscapeDataString(name));
        return this;
    }

    /// <summary>Adds a path: its slashes stay, and what is percent-encoded in it already is encoded once more, as it is part of the name.</summary>
    public Route Path(string what, string path)
    {
        foreach (var segment in path.Split('/')) Segment(what, segment);
        return this;
    }

    /// <summary>Adds a fixed word.</summary>
    public Route Word(string word)
    {
        _url.Append('/').Append(word);
        return this;
    }

    /// <summary>Adds a query parameter unless it is null.</summary>
    public Route Query(string name, string? value)
    {
        if (value is null) return this;
        _url.Append(_separator).Append(name).Append('=').Append(Uri.EscapeDataString(value));
        _separator = '&';
        return this;
    }

    /// <summary>Adds a numeric query parameter unless it is null.</summary>
    public Route Query(string name, long? value) =>
        Query(name, value?.ToString(System.Globalization.CultureInfo.InvariantCulture));

    /// <summary>Adds <c>name=true</c> if it is.</summary>
    public Route Query(string name, bool value) => value ? Query(name, "true") : this;

    public override string ToString() => _url.ToString();
}
