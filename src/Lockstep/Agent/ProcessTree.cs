using System.Globalization;

namespace Lockstep.Agent;

/// <summary>
/// The processes that a process started, and those they started, as Linux shows them in <c>/proc</c>. Once seen they stay known: when the one they come from ends
/// first nothing leads to them any more. A group of their own would find them as well, and take the terminal's signals from them.
/// </summary>
internal sealed class ProcessTree(int root)
{
    // By number, and when it started (clock ticks): a number may come to mean another process.
    private readonly Dictionary<int, string> _known = [];

    /// <summary>Sends a signal to all that live but the root, and says whether there are any. With <paramref name="newOnly"/> only to those that were not known.</summary>
    public bool Signal(int number, bool newOnly = false)
    {
        var living = Read();
        foreach (var gone in _known.Where(k => !living.TryGetValue(k.Key, out var now) || now.Start != k.Value).Select(k => k.Key).ToList()) _known.Remove(gone);
        var before = _known.Keys.ToHashSet();
        var children = living.ToLookup(p => p.Value.Parent, p => p.Key);
        var open = new Queue<int>(before.Append(root));
        while (open.TryDequeue(out var parent))
            foreach (var child in children[parent])
                if (_known.TryAdd(child, living[child].Start))
                    open.Enqueue(child);
        foreach (var process in _known.Keys)
            if (!newOnly || !before.Contains(process))
                Signals.Send(process, number);
        return _known.Count > 0;
    }

    /// <summary>Every process that has not ended, and the one it comes from.</summary>
    private static Dictionary<int, (int Parent, string Start)> Read()
    {
        var processes = new Dictionary<int, (int, string)>();
        if (!OperatingSystem.IsLinux()) return processes;
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out var id)) continue;
            try
            {
                // proc_pid_stat(5): after the name, which may hold anything, the state (3), the parent (4) … and the start (22).
                var text = File.ReadAllText(folder + "/stat");
                var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
                if (fields[0] is not ("Z" or "X")) processes[id] = (int.Parse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture), fields[19]);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It has ended meanwhile.
            }
        }
        return processes;
    }
}
