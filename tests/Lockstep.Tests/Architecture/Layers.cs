using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Lockstep.Tests.Architecture;

/// <summary>
/// The arrows between the folders of the executable, as the compiler sees them: every name in every file is bound, so that a member reached
/// through <c>var</c> or a name that needs no <c>using</c> counts as well.
/// </summary>
internal static class Layers
{
    /// <summary>The folders, from the top. Those of one step do not know each other.</summary>
    private static readonly string[][] s_steps =
    [
        ["Cli"], ["Server"], ["Http", "Compat", "Push", "Rotation"], ["Gate"], ["Access", "Audit", "Fleet", "Releases"], ["Config"], ["Secrets"], ["Storage"],
        ["Settings"],
    ];

    private const string ImplicitUsings = """
        global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq;
        global using System.Net.Http; global using System.Threading; global using System.Threading.Tasks;
        """;

    private static readonly MetadataReference[] s_references =
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(a => Path.GetFileName(a) != "lockstep.dll").Select(a => MetadataReference.CreateFromFile(a)),
    ];

    /// <summary>Every arrow from one folder to another, with the first place that makes it.</summary>
    public static IReadOnlyDictionary<(string From, string To), string> Arrows(IReadOnlyList<SourceFile> files)
    {
        var compilation = Compile(files);
        var arrows = new Dictionary<(string, string), string>();
        foreach (var file in files.Where(f => FolderOf(f) is not null))
        {
            var model = compilation.GetSemanticModel(file.Tree);
            foreach (var name in file.Root.DescendantNodes().OfType<SimpleNameSyntax>())
                if (FolderOf(model.GetSymbolInfo(name).Symbol) is { } target && target != FolderOf(file))
                    arrows.TryAdd((FolderOf(file)!, target), $"{file.At(name)} uses {name.Identifier.Text}");
        }
        return arrows;
    }

    /// <summary>Arrows that point up or sideways, and folders that have no place in the order.</summary>
    public static IEnumerable<string> Violations(IReadOnlyList<SourceFile> files, IReadOnlyDictionary<(string From, string To), string> arrows)
    {
        foreach (var folder in files.Select(FolderOf).OfType<string>().Distinct(StringComparer.Ordinal))
            if (folder != "Agent" && StepOf(folder) < 0)
                yield return $"src/Lockstep/{folder} has no place in the order of folders";
        foreach (var ((from, to), place) in arrows)
            if (!IsAllowed(from, to))
                yield return $"{from} → {to}: {place}";
    }

    /// <summary>Files whose namespace is not their folder, and types that are visible outside the executable.</summary>
    public static IEnumerable<string> Namespaces(IReadOnlyList<SourceFile> files)
    {
        foreach (var file in files)
        {
            var expected = Path.GetDirectoryName(file.Path)!.Replace('\\', '/')["src/".Length..].Replace('/', '.');
            foreach (var declared in file.Root.DescendantNodes().OfType<BaseNamespaceDeclarationSyntax>())
                if (declared.Name.ToString() != expected)
                    yield return $"{file.At(declared)}: the namespace is {declared.Name}, the folder says {expected}";
            foreach (var type in file.Root.DescendantNodes().OfType<BaseTypeDeclarationSyntax>().Where(t => t.Parent is not BaseTypeDeclarationSyntax))
            {
                if (type.Parent is not BaseNamespaceDeclarationSyntax) yield return $"{file.At(type)}: {type.Identifier.Text} has no namespace";
                if (type.Modifiers.Any(SyntaxKind.PublicKeyword)) yield return $"{file.At(type)}: {type.Identifier.Text} is public; the executable has no users in code";
            }
        }
    }

    private static bool IsAllowed(string from, string to) =>
        from != "Agent" && (to == "Agent" ? from == "Cli" : StepOf(from) >= 0 && StepOf(to) > StepOf(from));

    private static int StepOf(string folder) => Array.FindIndex(s_steps, step => step.Contains(folder));

    /// <summary>The first folder below <c>src/Lockstep</c>; null for a file beside <c>Program.cs</c>, which may use everything.</summary>
    private static string? FolderOf(SourceFile file)
    {
        var parts = file.Path.Split('/');
        return parts.Length > 3 ? parts[2] : null;
    }

    private static string? FolderOf(ISymbol? symbol)
    {
        if (symbol is INamespaceSymbol or null || symbol.ContainingAssembly?.Name != "lockstep") return null;
        var space = symbol.ContainingNamespace;
        while (space is { IsGlobalNamespace: false, ContainingNamespace.Name: not "Lockstep" }) space = space.ContainingNamespace;
        return space is { IsGlobalNamespace: false } ? space.Name : null;
    }

    private static CSharpCompilation Compile(IReadOnlyList<SourceFile> files) =>
        CSharpCompilation.Create("lockstep", [.. files.Select(f => f.Tree), new SourceFile("implicit", ImplicitUsings).Tree], s_references,
            new CSharpCompilationOptions(OutputKind.ConsoleApplication, nullableContextOptions: NullableContextOptions.Enable));
}
