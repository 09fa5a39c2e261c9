using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Lockstep.Tests.Architecture;

/// <summary>What no file may hold.</summary>
internal static partial class Habits
{
    /// <summary>Secret text comes out in the gate alone (L1), and goes to encryption (<c>Seal</c>) in the stores alone. A mention counts as much as a call: a method
    /// can be handed on.</summary>
    public static IEnumerable<string> Reveals(SourceFile file)
    {
        if (file.Path.StartsWith("src/Lockstep/Gate/", StringComparison.Ordinal)) yield break;
        var inStores = file.Path.StartsWith("src/Lockstep/Secrets/", StringComparison.Ordinal);
        foreach (var name in file.Root.DescendantNodes().OfType<IdentifierNameSyntax>())
            if (name.Identifier.Text == "Reveal" || (name.Identifier.Text == "Seal" && !inStores))
                yield return $"{file.At(name)}: only the gate may reveal a secret, and only a store may seal one";
    }

    public static IEnumerable<string> Leftovers(SourceFile file)
    {
        foreach (var token in file.Root.DescendantTokens(descendIntoTrivia: true).Where(t => t.IsKind(SyntaxKind.IdentifierToken) && t.ValueText == "NotImplementedException"))
            yield return $"{file.At(token.Parent!)}: {token.ValueText}";
        foreach (var stub in file.Root.DescendantNodes().Where(IsStub)) yield return $"{file.At(stub)}: a stub, {stub}";
        foreach (var trivia in file.Root.DescendantTrivia())
        {
            if (trivia.IsKind(SyntaxKind.RegionDirectiveTrivia)) yield return $"{Line(file, trivia)}: a region";
            if (IsComment(trivia) && UnfinishedWord().Match(trivia.ToFullString()) is { Success: true } match) yield return $"{Line(file, trivia)}: {match.Value}";
        }
    }

    /// <summary>A test that never runs is none. What needs a program that is missing says so when it runs.</summary>
    public static IEnumerable<string> SkippedTests(SourceFile file)
    {
        foreach (var argument in file.Root.DescendantNodes().OfType<AttributeArgumentSyntax>().Where(a => a.NameEquals?.Name.Identifier.Text == "Skip"))
            yield return $"{file.At(argument)}: a skipped test";
    }

    private static bool IsStub(SyntaxNode node)
    {
        var thrown = node is ThrowExpressionSyntax expression ? expression.Expression : (node as ThrowStatementSyntax)?.Expression;
        if (thrown is PostfixUnaryExpressionSyntax forgiven) thrown = forgiven.Operand;
        return thrown.IsKind(SyntaxKind.NullLiteralExpression);
    }

    private static bool IsComment(SyntaxTrivia trivia) => trivia.Kind() is SyntaxKind.SingleLineCommentTrivia or SyntaxKind.MultiLineCommentTrivia
        or SyntaxKind.SingleLineDocumentationCommentTrivia or SyntaxKind.MultiLineDocumentationCommentTrivia;

    private static string Line(SourceFile file, SyntaxTrivia trivia) => $"{file.Path}:{file.Tree.GetLineSpan(trivia.Span).StartLinePosition.Line + 1}";

    [GeneratedRegex(@"\b(TODO|FIXME|HACK|XXX)\b", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex UnfinishedWord();
}
