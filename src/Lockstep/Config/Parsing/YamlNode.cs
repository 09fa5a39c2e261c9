namespace Lockstep.Config.Parsing;

internal abstract class YamlNode((int Line, int Column) at)
{
    public int Line { get; } = at.Line;

    public int Column { get; } = at.Column;
}

internal sealed class YamlScalar((int Line, int Column) at, YamlScalarValue value) : YamlNode(at)
{
    public YamlScalarValue Value { get; } = value;
}

internal sealed class YamlSequence((int Line, int Column) at) : YamlNode(at)
{
    public List<YamlNode> Items { get; } = [];
}

internal sealed class YamlMapping((int Line, int Column) at) : YamlNode(at)
{
    public List<YamlPair> Pairs { get; } = [];

    /// <summary>The values of <c>&lt;&lt;</c> keys in the order of the file.</summary>
    public List<YamlNode> Merges { get; } = [];

    /// <summary>The pairs with what is merged in, computed once: merging is what makes aliases expensive.</summary>
    public List<YamlPair>? Effective { get; set; }
}

internal sealed class YamlAlias((int Line, int Column) at, YamlNode target) : YamlNode(at)
{
    public YamlNode Target { get; } = target;
}

internal readonly record struct YamlPair(string Key, YamlNode Value);
