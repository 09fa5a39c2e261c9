using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Lockstep.Server;

/// <summary>Logs: JSON lines on stdout, UTC; nothing in them holds a secret.</summary>
internal static class Logging
{
    public static ILoggerFactory Json() => LoggerFactory.Create(logging => logging
        .SetMinimumLevel(LogLevel.Information)
        .AddFilter("Microsoft", LogLevel.Warning)
        // What keeps a listener from starting is thrown too, and told once.
        .AddFilter("Microsoft.Extensions.Hosting", LogLevel.None)
        .AddConsole(o => o.FormatterName = JsonLineFormatter.FormatterName)
        .Services.AddSingleton<ConsoleFormatter>(new JsonLineFormatter(TimeProvider.System)));

    /// <summary>For people at a terminal: only what they should know, on stderr.</summary>
    public static ILoggerFactory Plain() => LoggerFactory.Create(logging => logging
        .SetMinimumLevel(LogLevel.Warning)
        .AddFilter("Lockstep.Config.Git", LogLevel.Error)
        .AddFilter("Microsoft.Extensions.Hosting", LogLevel.None)
        .AddSimpleConsole(o => o.SingleLine = true)
        .Services.Configure<ConsoleLoggerOptions>(o => o.LogToStandardErrorThreshold = LogLevel.Trace));
}
