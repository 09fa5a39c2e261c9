namespace Lockstep.Config.Parsing;

/// <summary>A file that does not parse. Caught by <see cref="ConfigFileParser"/>; it never leaves this folder.</summary>
internal sealed class ConfigSyntaxException(int line, string message) : Exception(message)
{
    public int Line { get; } = line;
}
