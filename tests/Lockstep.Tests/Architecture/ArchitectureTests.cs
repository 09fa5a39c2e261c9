using Shouldly;
using Xunit;

namespace Lockstep.Tests.Architecture;

/// <summary>The rules of the house, held against the working tree. <see cref="RuleTests"/> shows that each of them can fail.</summary>
public sealed class ArchitectureTests
{
    private static readonly Lazy<IReadOnlyDictionary<(string From, string To), string>> s_arrows = new(() => Layers.Arrows(Repository.Executable));

    private static IEnumerable<SourceFile> Packages =>
        Repository.Sources.Where(f => f.Path.StartsWith("src/", StringComparison.Ordinal) && !f.Path.StartsWith("src/Lockstep/", StringComparison.Ordinal));

    [Fact]
    public void Arrows_between_folders_point_down_only() => Layers.Violations(Repository.Executable, s_arrows.Value).ShouldBeEmpty();

    [Fact]
    public void Arrows_are_really_found() =>
        s_arrows.Value.Keys.ShouldContain(("Config", "Secrets"), "the scan sees nothing: the sources did not bind");

    [Fact]
    public void Namespaces_equal_folders_and_nothing_in_the_executable_is_public() => Layers.Namespaces(Repository.Executable).ShouldBeEmpty();

    [Fact]
    public void Files_are_short() => Repository.Sources.SelectMany(Sizes.Files).ShouldBeEmpty();

    [Fact]
    public void Methods_are_short() => Repository.Sources.SelectMany(Sizes.Methods).ShouldBeEmpty();

    [Fact]
    public void Constructors_take_few_parameters() => Repository.Sources.SelectMany(Sizes.Constructors).ShouldBeEmpty();

    [Fact]
    public void Packages_have_one_public_type_a_file() => Packages.SelectMany(Sizes.PublicTypes).ShouldBeEmpty();

    [Fact]
    public void Nothing_unfinished_is_left_in_the_sources() => Repository.Sources.SelectMany(Habits.Leftovers).ShouldBeEmpty();

    [Fact]
    public void No_test_is_switched_off() => Repository.Sources.SelectMany(Habits.SkippedTests).ShouldBeEmpty();

    [Fact]
    public void Every_shipped_project_has_a_lock_file() =>
        Directory.EnumerateFiles(Path.Combine(Repository.Root, "src"), "*.csproj", SearchOption.AllDirectories)
            .Where(project => !File.Exists(Path.Combine(Path.GetDirectoryName(project)!, "packages.lock.json")))
            .ShouldBeEmpty();
}

/// <summary>L1, the part of it that the sources show: no other code asks a secret for its text.</summary>
public sealed class L1_Only_the_gate_reveals
{
    [Fact]
    public void Only_the_gate_mentions_Reveal_and_only_stores_mention_Seal() => Repository.Executable.SelectMany(Habits.Reveals).ShouldBeEmpty();
}
