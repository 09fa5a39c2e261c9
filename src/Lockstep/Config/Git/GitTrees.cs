using System.Collections.Immutable;
using System.Text;
using Lockstep.Client;

namespace Lockstep.Config.Git;

/// <summary>Reads git's listings of trees and of what changed between two.</summary>
internal static class GitTrees
{
    /// <summary>Reads <c>ls-tree -r -z</c>: <c>MODE SP TYPE SP ID TAB PATH NUL</c> each. Symbolic links and submodules are left out.</summary>
    public static ImmutableDictionary<string, string> ParseListing(ReadOnlySpan<byte> listing, out int skipped)
    {
        skipped = 0;
        var blobs = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        while (Next(ref listing, out var record))
        {
            var tab = record.IndexOf((byte)'\t');
            if (tab < 0 || !IsRegularFile(record) || !IsConfigFile(record[(tab + 1)..]))
                continue;
            if (GitNames.Utf8(record[(tab + 1)..]) is { } path)
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
            if (GitNames.Utf8(name) is not { } path)
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

    /// <summary>Reads the same listing of <c>diff-tree</c>, every entry of it.</summary>
    public static ImmutableArray<GitFileChange> ParseChanges(ReadOnlySpan<byte> diff)
    {
        var changes = ImmutableArray.CreateBuilder<GitFileChange>();
        while (Next(ref diff, out var entry) && Next(ref diff, out var name))
        {
            // The colon stands before the first mode.
            var fields = Encoding.ASCII.GetString(entry[1..]).Split(' ');
            changes.Add(new GitFileChange(
                GitNames.Utf8(name), GitNames.Shown(Encoding.UTF8.GetString(name)), Kind(fields[0]), Kind(fields[1]), fields[2], fields[3]));
        }

        return changes.ToImmutable();
    }

    /// <summary>
    /// Reads <c>diff-tree --stdin -c -r -z --raw</c>: for each commit its id and the entries, those of a merge being <c>::MODE … ID … STATUS NUL PATH NUL</c> with as many
    /// colons as parents.
    /// </summary>
    public static ImmutableArray<GitCommitChanges> ParseCommits(ReadOnlySpan<byte> log)
    {
        var commits = ImmutableArray.CreateBuilder<GitCommitChanges>();
        var changes = ImmutableArray.CreateBuilder<GitFileChange>();
        var commit = "";
        while (Next(ref log, out var record))
        {
            var parents = record.IndexOfAnyExcept((byte)':');
            if (parents == 0)
            {
                if (changes.Count > 0) commits.Add(new GitCommitChanges(commit, changes.ToImmutable()));
                changes.Clear();
                commit = Encoding.ASCII.GetString(record);
                continue;
            }
            if (parents < 0 || !Next(ref log, out var name)) throw new LockstepException(ErrorCode.Unavailable, "git lists what commits change in a way that is not understood");
            var fields = Encoding.ASCII.GetString(record[parents..]).Split(' ');
            var (path, shown) = (GitNames.Utf8(name), GitNames.Shown(Encoding.UTF8.GetString(name)));
            for (var i = 0; i < parents; i++)
                changes.Add(new GitFileChange(path, shown, Kind(fields[i]), Kind(fields[parents]), fields[parents + 1 + i], fields[(2 * parents) + 1]));
        }
        if (changes.Count > 0) commits.Add(new GitCommitChanges(commit, changes.ToImmutable()));
        return commits.ToImmutable();
    }

    /// <summary>Reads <c>ls-tree -r -z --name-only</c>; null stands for a name that is not UTF-8.</summary>
    public static List<string?> ParseNames(ReadOnlySpan<byte> listing)
    {
        var names = new List<string?>();
        while (Next(ref listing, out var name))
            names.Add(GitNames.Utf8(name));
        return names;
    }

    /// <summary>Reads one record of <c>ls-tree -z</c>: the blob of a regular file, else null.</summary>
    public static string? ParseEntry(ReadOnlySpan<byte> listing)
    {
        if (!Next(ref listing, out var record) || !IsRegularFile(record)) return null;
        var tab = record.IndexOf((byte)'\t');
        return Encoding.ASCII.GetString(record[(record[..tab].LastIndexOf((byte)' ') + 1)..tab]);
    }

    private static GitFileKind Kind(string mode) => mode switch
    {
        "000000" => GitFileKind.None,
        "120000" => GitFileKind.Link,
        "160000" => GitFileKind.Submodule,
        _ => GitFileKind.File,
    };

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

    private static bool Next(ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> record)
    {
        var end = rest.IndexOf((byte)0);
        record = end < 0 ? default : rest[..end];
        rest = end < 0 ? default : rest[(end + 1)..];
        return end >= 0;
    }
}
