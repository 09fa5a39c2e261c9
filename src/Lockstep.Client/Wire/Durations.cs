using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Lockstep.Client;

/// <summary>Durations as they are written everywhere in Lockstep: a whole number and one unit of <c>ms s m h d</c>, such as <c>500ms</c> or <c>24h</c>.</summary>
public static class Durations
{
    /// <summary>In words, for messages.</summary>
    internal const string Words = "a duration such as 500ms, 30s, 15m, 24h or 7d";

    /// <summary>The longest one that is accepted: ten years of 365 days.</summary>
    public static TimeSpan Max { get; } = TimeSpan.FromDays(3650);

    /// <summary>Reads a duration; false when it is not one, or longer than <see cref="Max"/>.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out TimeSpan duration)
    {
        duration = default;
        if (text is null) return false;
        var digits = text.AsSpan().IndexOfAnyExceptInRange('0', '9');
        if (digits is < 1 or > 12 || !long.TryParse(text.AsSpan(0, digits), NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return false;
        long? unit = text[digits..] switch
        {
            "ms" => TimeSpan.TicksPerMillisecond,
            "s" => TimeSpan.TicksPerSecond,
            "m" => TimeSpan.TicksPerMinute,
            "h" => TimeSpan.TicksPerHour,
            "d" => TimeSpan.TicksPerDay,
            _ => null,
        };
        if (unit is null || number > Max.Ticks / unit) return false;
        duration = new TimeSpan(number * unit.Value);
        return true;
    }

    /// <summary>Reads a duration.</summary>
    /// <exception cref="LockstepException">bad-request when it is not one.</exception>
    public static TimeSpan Parse(string text) =>
        TryParse(text, out var duration) ? duration
        : throw new LockstepException(ErrorCode.BadRequest, "not a duration: write a whole number and a unit, such as 500ms, 30s, 15m, 24h or 30d (at most 3650d)");

    /// <summary>Writes a duration in the largest unit up to hours that holds it exactly; what is below a millisecond is cut off.</summary>
    public static string Format(TimeSpan duration)
    {
        var (unit, name) = duration.Ticks switch
        {
            0 => (TimeSpan.TicksPerSecond, "s"),
            var t when t % TimeSpan.TicksPerHour == 0 => (TimeSpan.TicksPerHour, "h"),
            var t when t % TimeSpan.TicksPerMinute == 0 => (TimeSpan.TicksPerMinute, "m"),
            var t when t % TimeSpan.TicksPerSecond == 0 => (TimeSpan.TicksPerSecond, "s"),
            _ => (TimeSpan.TicksPerMillisecond, "ms"),
        };
        return string.Create(CultureInfo.InvariantCulture, $"{duration.Ticks / unit}{name}");
    }
}
