using Shouldly;
using Xunit;

namespace Lockstep.Tests.Architecture;

/// <summary>Each rule of <see cref="ArchitectureTests"/> fails on a small bad sample, and lets its good twin pass.</summary>
public sealed class RuleTests
{
    private static readonly SourceFile s_storage = Sample("Storage/Store.cs", "namespace Lockstep.Storage; internal sealed class Store { public static Store One => new(); public int Size => 1; }");

    [Theory]
    [InlineData("Secrets", "using Lockstep.Storage; namespace Lockstep.Secrets; internal sealed class A { Store? s; }", true)]
    [InlineData("Settings", "using Lockstep.Storage; namespace Lockstep.Settings; internal sealed class A { Store? s; }", false)]
    [InlineData("Settings", "namespace Lockstep.Settings; internal sealed class A { Storage.Store? s; }", false)]
    [InlineData("Settings", "namespace Lockstep.Settings; internal sealed class A { object s = Lockstep.Storage.Store.One; }", false)]
    [InlineData("Settings", "using S = Lockstep.Storage.Store; namespace Lockstep.Settings; internal sealed class A { int n = S.One.Size; }", false)]
    [InlineData("Settings", "namespace Lockstep.Settings; internal sealed class A { /* Lockstep.Storage.Store */ string s = \"Lockstep.Storage.Store\"; }", true)]
    [InlineData("Agent", "using Lockstep.Storage; namespace Lockstep.Agent; internal sealed class A { Store? s; }", false)]
    [InlineData("Agent", "namespace Lockstep.Agent; internal sealed class A { Lockstep.Client.ErrorCode? c; }", true)]
    [InlineData("Odd", "namespace Lockstep.Odd; internal sealed class A;", false)]
    public void An_arrow_up_is_found(string folder, string text, bool good) =>
        ArrowsAreWrong(s_storage, Sample($"{folder}/A.cs", text)).ShouldBe(!good);

    [Theory]
    [InlineData("Access", "Audit", false)]
    [InlineData("Http", "Compat", false)]
    [InlineData("Cli", "Agent", true)]
    [InlineData("Server", "Agent", false)]
    [InlineData("Server", "Cli", false)]
    [InlineData("Cli", "Settings", true)]
    public void An_arrow_sideways_is_found(string from, string to, bool good)
    {
        var user = Sample($"{from}/A.cs", $"namespace Lockstep.{from}; internal sealed class A {{ Lockstep.{to}.B? b; }}");
        var used = Sample($"{to}/Deep/B.cs", $"namespace Lockstep.{to} {{ internal sealed class B; }}");
        ArrowsAreWrong(user, used).ShouldBe(!good);
    }

    [Theory]
    [InlineData("Config/Git/A.cs", "namespace Lockstep.Config.Git; internal sealed class A { public sealed class Inner; }", true)]
    [InlineData("Config/Git/A.cs", "namespace Lockstep.Config; internal sealed class A;", false)]
    [InlineData("Config/A.cs", "internal sealed class A;", false)]
    [InlineData("Config/A.cs", "namespace Lockstep.Config; public sealed class A;", false)]
    public void A_wrong_namespace_and_a_public_type_are_found(string path, string text, bool good) =>
        Layers.Namespaces([Sample(path, text)]).Any().ShouldBe(!good);

    [Theory]
    [InlineData(400, true)]
    [InlineData(401, false)]
    public void A_long_file_is_found(int lines, bool good) =>
        Sizes.Files(Sample("A.cs", string.Join('\n', Enumerable.Repeat("//", lines)) + "\n")).Any().ShouldBe(!good);

    [Theory]
    [InlineData("class A { void M() {", "} }", 58, true)]
    [InlineData("class A { void M() {", "} }", 59, false)]
    [InlineData("class A { /// <summary>\n/// Long.\n/// </summary>\nvoid M() {", "} }", 58, true)]
    [InlineData("class A { A() {", "} }", 59, false)]
    [InlineData("class A { int P { get {", "} } }", 59, false)]
    [InlineData("void F() {", "}", 59, false)]
    [InlineData("F();", "F();", 58, true)]
    [InlineData("F();", "F();", 59, false)]
    public void A_long_method_is_found(string before, string after, int between, bool good) =>
        Sizes.Methods(Sample("A.cs", before + string.Concat(Enumerable.Repeat("\n;", between)) + "\n" + after)).Any().ShouldBe(!good);

    [Theory]
    [InlineData("class A { A(int a, int b, int c, int d, int e) { } }", true)]
    [InlineData("class A { A(int a, int b, int c, int d, int e, int f) { } }", false)]
    [InlineData("class A(int a, int b, int c, int d, int e, int f);", false)]
    [InlineData("struct A(int a, int b, int c, int d, int e, int f);", false)]
    [InlineData("record A(int a, int b, int c, int d, int e, int f);", true)]
    [InlineData("class A { void M(int a, int b, int c, int d, int e, int f) { } }", true)]
    public void A_greedy_constructor_is_found(string text, bool good) => Sizes.Constructors(Sample("A.cs", text)).Any().ShouldBe(!good);

    [Theory]
    [InlineData("namespace N; public class A { public enum E; } internal class B;", true)]
    [InlineData("namespace N; public class A; public enum B;", false)]
    [InlineData("namespace N; public class A; public delegate void B();", false)]
    public void A_second_public_type_is_found(string text, bool good) => Sizes.PublicTypes(Sample("A.cs", text)).Any().ShouldBe(!good);

    [Theory]
    [InlineData("Gate/A.cs", "class A { string M(V v) => v.Reveal(); }", true)]
    [InlineData("Http/A.cs", "class A { string M(V v) => v.Reveal(\"f\"); }", false)]
    [InlineData("Http/A.cs", "class A { Func<string?, string> M(V v) => v.Reveal; }", false)]
    [InlineData("Http/A.cs", "class A { string M(V? v) => v?.Reveal(); }", false)]
    [InlineData("Http/A.cs", "class A { byte[] M(V v) => v.Seal(b => b.ToArray()); }", false)]
    [InlineData("Secrets/Embedded/A.cs", "class A { byte[] M(V v) => v.Seal(Encrypt); }", true)]
    [InlineData("Secrets/Embedded/A.cs", "class A { string M(V v) => v.Reveal(); }", false)]
    [InlineData("Secrets/SecretValue.cs", "/// <see cref=\"Reveal\"/>\nclass SecretValue { string Reveal() => \"\"; }", true)]
    public void A_reveal_outside_the_gate_is_found(string path, string text, bool good) => Habits.Reveals(Sample(path, text)).Any().ShouldBe(!good);

    [Theory]
    [InlineData("// TO" + "DO later", false)]
    [InlineData("/* FIX" + "ME */", false)]
    [InlineData("/// <summary>HA" + "CK</summary>\nclass A;", false)]
    [InlineData("class A { void M() => throw new NotImplemented" + "Exception(); }", false)]
    [InlineData("class A { int M() => throw null!; }", false)]
    [InlineData("class A { void M() { throw null; } void N() { try { } catch { throw; } } }", false)]
    [InlineData("class A { void N() { try { } catch { throw; } } }", true)]
    [InlineData("#region R\n#endregion", false)]
    [InlineData("class A { string TodoList = \"TO" + "DO\"; } // hacksaw", true)]
    public void A_leftover_is_found(string text, bool good) => Habits.Leftovers(Sample("A.cs", text)).Any().ShouldBe(!good);

    [Theory]
    [InlineData("class A { [Fact(Skip = \"flaky\")] void M() { } }", false)]
    [InlineData("class A { [Fact] void M() { } int Skip = 1; }", true)]
    public void A_skipped_test_is_found(string text, bool good) => Habits.SkippedTests(Sample("A.cs", text)).Any().ShouldBe(!good);

    private static bool ArrowsAreWrong(params SourceFile[] files) => Layers.Violations(files, Layers.Arrows(files)).Any();

    private static SourceFile Sample(string path, string text) => new($"src/Lockstep/{path}", text);
}
