using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Lockstep.Tests.Support;

/// <summary>Keeps every line that is logged, at every level, with its exception and its named values.</summary>
internal sealed class CapturedLogs : ILoggerProvider
{
    private readonly ConcurrentQueue<string> _lines = new();

    public IReadOnlyCollection<string> Lines => _lines;

    public ILogger CreateLogger(string categoryName) => new Sink(categoryName, _lines);

    public void Dispose()
    {
    }

    private sealed class Sink(string category, ConcurrentQueue<string> lines) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            var named = state is IEnumerable<KeyValuePair<string, object?>> values ? string.Join(' ', values) : "";
            lines.Enqueue($"{logLevel} {category}: {formatter(state, exception)} {named} {exception}");
        }
    }
}
