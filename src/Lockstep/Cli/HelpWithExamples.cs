using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Lockstep.Cli;

/// <summary>The usual help, with the examples of the verb after it.</summary>
internal sealed class HelpWithExamples : SynchronousCommandLineAction
{
    private readonly HelpAction _help = new() { MaxWidth = 110 };

    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        var result = _help.Invoke(parseResult);
        if (parseResult.CommandResult.Command is Verb verb)
        {
            var output = parseResult.InvocationConfiguration.Output;
            if (verb.Details is not null)
            {
                output.WriteLine("Notes:");
                foreach (var line in verb.Details.Split('\n')) output.WriteLine("  " + line);
                output.WriteLine();
            }
            output.WriteLine("Examples:");
            foreach (var example in verb.Examples) output.WriteLine("  " + example);
            output.WriteLine();
        }
        return result;
    }
}

/// <summary>A command with notes and examples for its help; the description is one line.</summary>
internal sealed class Verb(string name, string description, params string[] examples) : Command(name, description)
{
    public string[] Examples { get; } = examples;

    public string? Details { get; init; }
}
