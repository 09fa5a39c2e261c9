namespace Lockstep.Settings;

/// <summary>A piece of <c>server.yaml</c> with the line it stands on.</summary>
internal abstract record SettingsNode(int Line)
{
    /// <summary>What it is, in words.</summary>
    public abstract string Kind { get; }
}

/// <summary>A scalar; <paramref name="IsPlain"/>: without quotes, so that <c>null</c>, <c>true</c> and numbers mean themselves.</summary>
internal sealed record SettingsScalar(int Line, string Text, bool IsPlain) : SettingsNode(Line)
{
    public bool IsNull => IsPlain && Text is "" or "~" or "null" or "Null" or "NULL";

    public override string Kind => IsNull ? "nothing" : "a single value";
}

internal sealed record SettingsMapping(int Line, IReadOnlyDictionary<string, SettingsNode> Entries) : SettingsNode(Line)
{
    public override string Kind => "a mapping";
}

internal sealed record SettingsSequence(int Line, IReadOnlyList<SettingsNode> Items) : SettingsNode(Line)
{
    public override string Kind => "a list";
}
