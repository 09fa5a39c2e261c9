using System.Globalization;

namespace Lockstep.Config.Formats;

/// <summary>One step of a flat key: a name or an index. A name that starts with <c>[</c> is joined without a dot.</summary>
internal readonly record struct KeyStep(string? Name, int Index);

/// <summary>Takes a flat key apart such that flattening what is built of it gives the same key again.</summary>
internal static class KeyPath
{
    /// <summary>Deeper and longer keys are not taken apart: nothing that reads nested formats wants them.</summary>
    private const int MaxSteps = ConfigLimits.Depth - 4;

    private const int MaxLength = 1024;

    private const int MaxIndexDigits = 6;

    /// <summary><c>db.hosts[0].name</c> → db, hosts, 0, name. Brackets around anything but a number belong to the name. A key that would not come
    /// back the same (<c>a..b</c>, <c>a.[x]</c>, <c>a[0]b</c>) stays whole.</summary>
    public static List<KeyStep> Split(string key)
    {
        if (key.Length > MaxLength) return [new KeyStep(key, 0)];
        var steps = new List<KeyStep>();
        var position = 0;
        while (true)
        {
            var start = position;
            // A key that begins with an index has nothing the index could belong to.
            if (start == 0 && Index(key, 0) is { } first) position = first.End;
            while (position < key.Length && key[position] != '.' && Index(key, position) is null)
                position = key[position] == '[' && key.IndexOf(']', position) is > 0 and var close ? close + 1 : position + 1;
            var name = key[start..position];
            var bare = start == 0 || key[start - 1] == '.';
            if (string.IsNullOrWhiteSpace(name) || (bare && start > 0 && name[0] == '[') || steps.Count >= MaxSteps) return [new KeyStep(key, 0)];
            steps.Add(new KeyStep(name, 0));
            while (Index(key, position) is { } index)
            {
                if (steps.Count >= MaxSteps) return [new KeyStep(key, 0)];
                steps.Add(new KeyStep(null, index.Value));
                position = index.End;
            }
            if (position == key.Length) return steps;
            if (key[position] == '.') position++;
            else if (key[position] != '[') return [new KeyStep(key, 0)];
        }
    }

    private static (int Value, int End)? Index(string key, int position)
    {
        if (position >= key.Length || key[position] != '[') return null;
        var close = key.IndexOf(']', position);
        var digits = close < 0 ? [] : key.AsSpan(position + 1, close - position - 1);
        if (digits.Length is 0 or > MaxIndexDigits || digits.ContainsAnyExceptInRange('0', '9') || (digits.Length > 1 && digits[0] == '0')) return null;
        return (int.Parse(digits, CultureInfo.InvariantCulture), close + 1);
    }
}
