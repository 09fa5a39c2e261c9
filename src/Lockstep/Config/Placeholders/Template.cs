using System.Collections.Immutable;
using Lockstep.Secrets;

namespace Lockstep.Config.Placeholders;

/// <summary>A value taken apart: text, references to secrets, and placeholders for other keys.</summary>
internal abstract record Piece
{
    private Piece()
    {
    }

    internal sealed record Literal(string Text) : Piece;

    internal sealed record Reference(SecretRef Ref) : Piece;

    /// <param name="Source">The placeholder as written: what stays when nothing can be put in its place.</param>
    /// <param name="Name">The name in pieces; it may hold placeholders itself.</param>
    /// <param name="Default">What follows the first colon; null without one.</param>
    internal sealed record Placeholder(string Source, ImmutableArray<Piece> Name, ImmutableArray<Piece>? Default) : Piece;
}

/// <summary>A value that can't be taken apart, with the reason. Caught by the resolver, which knows the place.</summary>
internal sealed class TemplateException(string message) : Exception(message);
