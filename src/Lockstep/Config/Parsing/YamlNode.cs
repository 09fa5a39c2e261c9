namespace Lockstep.Config.Parsing;

internal abstract class YamlNode(int line)
{
    public int Line { get; } = line;
}

internal sealed class YamlScalar(int line, YamlScalarValue value) : YamlNode(line)
{
    public YamlScalarValue Value { get; } = value;
}

internal sealed class YamlSequence(int line) : YamlNode(line)
{
    public List<YamlNode> Items { get; } = [];
}

internal sealed class YamlMapping(int line) : YamlNode(line)
{
    public List<YamlPair> Pairs { get; } = [];

    /// <summary>The values of <c>&lt;&lt;</c> keys in the order of the file.</summary>
    public List<YamlNode> Merges { get; } = [];

    /// <summary>The pairs with what is merged in, computed once: merging is what makes aliases expensive.</summary>
    public List<YamlPair>? Effective { get; set; }
}

internal sealed class YamlAlias(int line, YamlNode target) : YamlNode(line)
{
    public YamlNode Target { get; } = target;
}

internal readonly record struct YamlPair(string Key, YamlNode Value);
