using System.CommandLine;
using System.Text;
using Lockstep.Cli;
using Lockstep.Tests.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Cli;

public sealed class HelpTests
{
    [Fact]
    public void The_help_of_every_verb_is_what_the_golden_file_says()
    {
        var text = new StringBuilder();
        Add(text, VerbTable.Root([]), []);
        Golden.Check("Cli/help.golden.txt", text.ToString());
    }

    [Fact]
    public void Every_verb_says_what_it_does_and_shows_an_example()
    {
        foreach (var verb in Leaves(VerbTable.Root([])))
        {
            verb.ShouldBeOfType<Verb>(verb.Name).Examples.ShouldNotBeEmpty(verb.Name);
            verb.Description.ShouldNotBeNullOrEmpty(verb.Name);
            verb.Options.Concat<Symbol>(verb.Arguments).ShouldAllBe(s => !string.IsNullOrEmpty(s.Description));
        }
    }

    private static IEnumerable<Command> Leaves(Command command) => command.Subcommands.Count == 0 ? [command] : command.Subcommands.SelectMany(Leaves);

    private static void Add(StringBuilder text, Command command, string[] path)
    {
        using var output = new StringWriter { NewLine = "\n" };
        VerbTable.Root([]).Parse([.. path, "--help"]).Invoke(new InvocationConfiguration { Output = output });
        text.Append("$ lockstep ").AppendJoin(' ', [.. path, "--help"]).Append('\n');
        foreach (var line in output.ToString().Split('\n')) text.Append(line.TrimEnd()).Append('\n');
        foreach (var sub in command.Subcommands) Add(text, sub, [.. path, sub.Name]);
    }
}
