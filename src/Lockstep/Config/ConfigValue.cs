using System.Collections.Immutable;
using Lockstep.Secrets;

namespace Lockstep.Config;

/// <summary>A resolved value before secrets are filled in: a scalar, one whole reference, or text with references inside.</summary>
internal abstract record ConfigValue
{
    private ConfigValue()
    {
    }

    /// <summary>The secrets this value is built of, through placeholders too.</summary>
    public abstract IEnumerable<SecretRef> References { get; }

    internal sealed record Scalar(ScalarValue Value) : ConfigValue
    {
        public override IEnumerable<SecretRef> References => [];
    }

    /// <summary>The whole value is one reference: a scalar field keeps its type.</summary>
    internal sealed record Secret(SecretRef Ref) : ConfigValue
    {
        public override IEnumerable<SecretRef> References => [Ref];
    }

    /// <summary>Text in pieces; at least one is a reference.</summary>
    internal sealed record Text(ImmutableArray<TextPart> Parts) : ConfigValue
    {
        public override IEnumerable<SecretRef> References => Parts.Where(p => p.Ref is not null).Select(p => p.Ref!);
    }
}

/// <summary>Either literal text or a reference.</summary>
internal readonly record struct TextPart(string? Literal, SecretRef? Ref);
