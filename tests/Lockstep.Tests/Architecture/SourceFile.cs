using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Lockstep.Tests.Architecture;

/// <summary>A source file of the repository; the path is relative to its root, with <c>/</c>.</summary>
internal sealed class SourceFile(string path, string text)
{
    private static readonly CSharpParseOptions s_options = new(LanguageVersion.Preview);

    private readonly Lazy<SyntaxTree> _tree = new(() => CSharpSyntaxTree.ParseText(text, s_options, path));

    public string Path { get; } = path;

    public string Text { get; } = text;

    public SyntaxTree Tree => _tree.Value;

    public SyntaxNode Root => Tree.GetRoot();

    /// <summary>Where a node stands, for messages.</summary>
    public string At(SyntaxNode node) => $"{Path}:{Tree.GetLineSpan(node.Span).StartLinePosition.Line + 1}";

    /// <summary>The number of lines a node spans, the comments before it left out.</summary>
    public int LinesOf(SyntaxNode first, SyntaxNode last) =>
        Tree.GetLineSpan(last.Span).EndLinePosition.Line - Tree.GetLineSpan(first.Span).StartLinePosition.Line + 1;
}
