using System.Collections;
using System.CommandLine;
using Lockstep.Settings;

namespace Lockstep.Cli;

/// <summary>The flags of the verbs that are the server or work on its data, and the settings they come to.</summary>
internal sealed class ServerFlags
{
    private readonly Option<string?> _config = new("--config") { Description = "The settings file", HelpName = "server.yaml" };
    private readonly Option<string?> _data = new("--data") { Description = "The data directory [setting data; ./data]", HelpName = "DIR" };

    public ServerFlags(Command command)
    {
        command.Add(_config);
        command.Add(_data);
    }

    /// <summary>Whether any of them is on the command line.</summary>
    public bool AreGiven(Session session) => session.Get(_config) is not null || session.Get(_data) is not null;

    /// <summary>Settings from the file, the environment and the flags; odd things are remarked on, wrong ones thrown.</summary>
    public ServerOptions Load(Session session)
    {
        var given = new Dictionary<string, string>(StringComparer.Ordinal);
        if (session.Get(_data) is { } data) given["data"] = Path.GetFullPath(data);
        var environment = Environment.GetEnvironmentVariables().Cast<DictionaryEntry>()
            .ToDictionary(e => (string)e.Key, e => (string?)e.Value ?? "", StringComparer.Ordinal);
        var (options, warnings) = ServerOptionsLoader.Load(session.Get(_config), environment, given);
        foreach (var warning in warnings) session.Output.Remark(warning);
        return options;
    }
}
