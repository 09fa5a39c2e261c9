using System.CommandLine;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary>One call of one verb: its arguments, its output, and the server it talks to.</summary>
internal sealed class Session(GlobalOptions globals, ParseResult parsed, Output output) : IDisposable
{
    private LockstepClient? _client;

    public Output Output { get; } = output;

    public bool Json => Output.Json;

    /// <summary>Where the server is and who asks, read when first needed.</summary>
    public ClientSettings Settings => field ??= ClientSettings.Load(new(
        Address: parsed.GetValue(globals.Address),
        TokenFile: parsed.GetValue(globals.TokenFile),
        Insecure: parsed.GetValue(globals.Insecure)));

    public LockstepClient Client => _client ??= Settings.Connect();

    public T Get<T>(Argument<T> argument) => parsed.GetValue(argument)!;

    public T? Get<T>(Option<T> option) => parsed.GetValue(option);

    public string Service(Option<string?> option) =>
        Get(option) ?? Settings.Service ?? throw new LockstepException(ErrorCode.BadRequest, "which service? Say -s NAME, or set LOCKSTEP_SERVICE, or service: in lockstep.yaml");

    public string Environment(Option<string?> option) =>
        Get(option) ?? Settings.Environment ?? throw new LockstepException(ErrorCode.BadRequest, "which environment? Say -e NAME, or set LOCKSTEP_ENVIRONMENT, or environment: in lockstep.yaml");

    public void Dispose() => _client?.Dispose();
}
