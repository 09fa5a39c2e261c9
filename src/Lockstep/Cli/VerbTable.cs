using System.CommandLine;
using System.CommandLine.Help;
using System.Reflection;

namespace Lockstep.Cli;

/// <summary>The verbs, and how one is chosen. Only the verb that is called is built: the others cost nothing at start.</summary>
internal static class VerbTable
{
    private static readonly (string Name, Func<GlobalOptions, Command> Build)[] s_verbs =
    [
        ("dev", DevVerb.Build),
        ("init", InitVerb.Build),
        ("serve", ServeVerb.Build),
        ("run", RunVerb.Build),
        ("config", ConfigVerbs.Build),
        ("release", ReleaseVerbs.Build),
        ("refresh", RefreshVerb.Build),
        ("secret", SecretVerbs.Build),
        ("token", TokenVerbs.Build),
        ("role", RoleVerbs.Build),
        ("kill", KillVerb.Build),
        ("audit", AuditVerbs.Build),
        ("fleet", FleetVerbs.BuildFleet),
        ("wait", FleetVerbs.BuildWait),
        ("login", LoginVerb.BuildLogin),
        ("logout", LoginVerb.BuildLogout),
        ("whoami", AccessVerbs.BuildWhoAmI),
        ("can", AccessVerbs.BuildCan),
        ("doctor", DoctorVerb.Build),
        ("rekey", RekeyVerb.Build),
        ("backup", BackupVerb.Build),
        ("restore", RestoreVerb.Build),
    ];

    /// <summary>Runs the command line; the result is the exit status.</summary>
    public static async Task<int> RunAsync(string[] args)
    {
        var root = Root(args);
        // No @files: an argument that starts with @ is itself. No bundling: -abc is no option.
        var parsed = root.Parse(args, new ParserConfiguration { EnablePosixBundling = false, ResponseFileTokenReplacer = null });
        if (UnknownOption(parsed) is { } unknown)
        {
            Output.For(parsed).Fail(new(Client.ErrorCode.BadRequest, $"unrecognized option '{unknown}' (see {PathOf(parsed.CommandResult.Command)} --help); what begins with a dash and is no option goes after --"));
            return Client.ErrorCode.BadRequest.ExitCode;
        }
        if (parsed.Errors.Count > 0 && parsed.Action is not (HelpWithExamples or VersionAction)) return Usage(parsed);
        // No termination timeout: signals end this process as they end any other, or are the verb's own business.
        return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }

    /// <summary>The command line as a tree: with the verb that is called, or with all of them when none is.</summary>
    public static Command Root(string[] args)
    {
        var globals = new GlobalOptions();
        var root = new Command("lockstep", """
            Config and secrets, versioned together, delivered live.

            Settings come from flags, then LOCKSTEP_… variables, then .lockstep/ (left by `lockstep dev`) and lockstep.yaml in or above the working directory.
            """);
        var help = new HelpOption { Recursive = true };
        help.Action = new HelpWithExamples();
        root.Add(help);
        root.Add(new Option<bool>("--version") { Description = "Show the version", Action = new VersionAction() });
        globals.AddTo(root);
        var called = args.Length > 0 ? Array.FindIndex(s_verbs, v => v.Name == args[0]) : -1;
        foreach (var (_, build) in called < 0 ? s_verbs : s_verbs.AsSpan(called, 1)) root.Add(build(globals));
        return root;
    }

    // The parser takes a mistyped option for an argument: --stagee would become a secret's value.
    private static string? UnknownOption(ParseResult parsed) => parsed.Tokens
        .TakeWhile(t => t.Type != System.CommandLine.Parsing.TokenType.DoubleDash)
        .Where(t => t.Type == System.CommandLine.Parsing.TokenType.Argument && t.Value.Length > 1 && t.Value[0] == '-')
        .Select(t => t.Value).FirstOrDefault();

    private static int Usage(ParseResult parsed)
    {
        var path = PathOf(parsed.CommandResult.Command);
        // "Required command was not provided" adds nothing to the word that is not one.
        var errors = parsed.Errors.Where(e => parsed.UnmatchedTokens.Count == 0 || e.Message.Contains('\'', StringComparison.Ordinal)).DefaultIfEmpty(parsed.Errors[0]);
        var message = string.Join("; ", errors.Select(e => e.Message.TrimEnd('.')));
        Output.For(parsed).Fail(new(Client.ErrorCode.BadRequest, $"{message} (see {path} --help)"));
        return Client.ErrorCode.BadRequest.ExitCode;
    }

    public static string PathOf(Symbol command) =>
        command.Parents.FirstOrDefault() is { } parent ? $"{PathOf(parent)} {command.Name}" : command.Name;

    private sealed class VersionAction : System.CommandLine.Invocation.SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parseResult)
        {
            var version = typeof(VerbTable).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion;
            parseResult.InvocationConfiguration.Output.WriteLine(version ?? "unknown");
            return 0;
        }
    }
}
