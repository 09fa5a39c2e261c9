using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Lockstep.Tests.Architecture;

/// <summary>The tails: it is the longest file and method that tells good code from bad, not the median.</summary>
internal static class Sizes
{
    private const int FileLines = 400;
    private const int MethodLines = 60;
    private const int ConstructorParameters = 5;

    public static IEnumerable<string> Files(SourceFile file)
    {
        var lines = file.Text.AsSpan().TrimEnd().Count('\n') + 1;
        if (lines > FileLines) yield return $"{file.Path}: {lines} lines, at most {FileLines}";
    }

    /// <summary>Methods, accessors, operators, local functions and the statements of a program without a class. Attributes count, comments before do not.</summary>
    public static IEnumerable<string> Methods(SourceFile file)
    {
        var members = file.Root.DescendantNodes().Where(n => n is BaseMethodDeclarationSyntax or BasePropertyDeclarationSyntax or LocalFunctionStatementSyntax);
        foreach (var member in members)
            if (file.LinesOf(member, member) is > MethodLines and var lines)
                yield return $"{file.At(member)}: a member of {lines} lines, at most {MethodLines}";

        var statements = ((CompilationUnitSyntax)file.Root).Members.OfType<GlobalStatementSyntax>().Where(s => s.Statement is not LocalFunctionStatementSyntax).ToList();
        if (statements.Count > 0 && file.LinesOf(statements[0], statements[^1]) is > MethodLines and var length)
            yield return $"{file.Path}: {length} lines of statements, at most {MethodLines}";
    }

    /// <summary>Records with positional members are data and do not count: they have no dependencies to speak of.</summary>
    public static IEnumerable<string> Constructors(SourceFile file)
    {
        foreach (var list in file.Root.DescendantNodes().OfType<ParameterListSyntax>())
            if (list.Parent is ConstructorDeclarationSyntax or ClassDeclarationSyntax or StructDeclarationSyntax && list.Parameters.Count > ConstructorParameters)
                yield return $"{file.At(list)}: a constructor with {list.Parameters.Count} parameters, at most {ConstructorParameters}";
    }

    /// <summary>For the packages, where people look a public type up by its file.</summary>
    public static IEnumerable<string> PublicTypes(SourceFile file)
    {
        var names = file.Root.DescendantNodes()
            .OfType<MemberDeclarationSyntax>()
            .Where(m => m is BaseTypeDeclarationSyntax or DelegateDeclarationSyntax && m.Parent is not TypeDeclarationSyntax && m.Modifiers.Any(SyntaxKind.PublicKeyword))
            .Select(m => m is BaseTypeDeclarationSyntax type ? type.Identifier.Text : ((DelegateDeclarationSyntax)m).Identifier.Text)
            .ToList();
        if (names.Count > 1) yield return $"{file.Path}: {string.Join(", ", names)}; one public type a file";
    }
}
