using System.Collections.Immutable;
using System.Text;

namespace Lockstep.Config.Git;

/// <summary>Reads git's listings of trees and of what changed between two.</summary>
internal static class GitTrees
{
    /// <summary>Reads <c>ls-tree -r -z</c>: <c>MODE SP TYPE SP ID TAB PATH NUL</c> each. Symbolic links and submodules are left out, and, counted, paths beyond the bounds.</summary>
    public static ImmutableDictionary<string, string> ParseListing(ReadOnlySpan<byte> listing, out int skipped)
    {
        skipped = 0;
        var blobs = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        while (Next(ref listing, out var record))
        {
            var tab = record.IndexOf((byte)'\t');
            if (tab < 0 || !IsRegularFile(record) || !IsConfigFile(record[(tab + 1)..]))
                continue;
            if (PathOf(record[(tab + 1)..]) is { } path)
                blobs[path] = Encoding.ASCII.GetString(record[(record[..tab].LastIndexOf((byte)' ') + 1)..tab]);
            else
                skipped++;
        }

        return blobs.ToImmutable();
    }

    /// <summary>
    /// Applies <c>diff-tree -r -z --no-renames</c>, <c>:MODE SP MODE SP ID SP ID SP STATUS NUL PATH NUL</c> each, to the files of the old commit. Costs what
    /// changed, not what there is.
    /// </summary>
    public static (ImmutableDictionary<string, string> Blobs, ImmutableArray<string> Changed) Apply(
        ImmutableDictionary<string, string> from, ReadOnlySpan<byte> diff, out int skipped)
    {
        skipped = 0;
        var blobs = from.ToBuilder();
        var changed = ImmutableArray.CreateBuilder<string>();
        while (Next(ref diff, out var entry) && Next(ref diff, out var name))
        {
            if (!IsConfigFile(name))
                continue;
            if (PathOf(name) is not { } path)
            {
                skipped++;
                continue;
            }

            var fields = Encoding.ASCII.GetString(entry).Split(' ');
            var id = IsRegularFile(Encoding.ASCII.GetBytes(fields[1])) ? fields[3] : null;
            if (string.Equals(blobs.GetValueOrDefault(path), id, StringComparison.Ordinal))
                continue;
            if (id is null)
                blobs.Remove(path);
            else
                blobs[path] = id;
            changed.Add(path);
        }

        changed.Sort(StringComparer.Ordinal);
        return (blobs.ToImmutable(), changed.DrainToImmutable());
    }

    /// <summary>Reads one record of <c>ls-tree -z</c>: the blob of a regular file, else null.</summary>
    public static string? ParseEntry(ReadOnlySpan<byte> listing)
    {
        if (!Next(ref listing, out var record) || !IsRegularFile(record)) return null;
        var tab = record.IndexOf((byte)'\t');
        return Encoding.ASCII.GetString(record[(record[..tab].LastIndexOf((byte)' ') + 1)..tab]);
    }

    /// <summary>Reads <c>ls-tree -t -z</c>: what each path is, in words.</summary>
    public static List<(string Path, string Kind)> ParseKinds(ReadOnlySpan<byte> listing)
    {
        var kinds = new List<(string, string)>();
        while (Next(ref listing, out var record))
        {
            if (GitNames.Utf8(record[(record.IndexOf((byte)'\t') + 1)..]) is not { } path) continue;
            kinds.Add((path, IsRegularFile(record) ? "a file" : record.StartsWith("04"u8) ? "a directory" : record.StartsWith("12"u8) ? "a symbolic link" : "a submodule"));
        }
        return kinds;
    }

    /// <summary>The paths that differ, sorted.</summary>
    public static ImmutableArray<string> Compare(ImmutableDictionary<string, string> from, ImmutableDictionary<string, string> to) =>
    [
        .. from.Where(f => !to.TryGetValue(f.Key, out var id) || id != f.Value).Select(f => f.Key)
            .Concat(to.Keys.Where(path => !from.ContainsKey(path)))
            .Order(StringComparer.Ordinal),
    ];

    // 100644 and 100755, and 100664 of very old commits; not 120000 (link), 160000 (submodule), 000000 (absent).
    private static bool IsRegularFile(ReadOnlySpan<byte> mode) => mode.StartsWith("100"u8);

    /// <summary><see cref="ConfigTree.IsConfigFile"/> before decoding: most files of a big repository are something else.</summary>
    private static bool IsConfigFile(ReadOnlySpan<byte> path) =>
        path.EndsWith(".yml"u8) || path.EndsWith(".yaml"u8) || path.EndsWith(".json"u8) || path.EndsWith(".properties"u8);

    private static string? PathOf(ReadOnlySpan<byte> path) => GitTreeDiff.IsPath(path) ? GitNames.Utf8(path) : null;

    private static bool Next(ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> record)
    {
        var end = rest.IndexOf((byte)0);
        record = end < 0 ? default : rest[..end];
        rest = end < 0 ? default : rest[(end + 1)..];
        return end >= 0;
    }
}
