using System.Collections.Immutable;
using System.Text;
using Lockstep.Client;

namespace Lockstep.Config.Git;

/// <summary>
/// Compares the trees of two commits, of which the new one may be anybody's: a few kilobytes of objects can name billions of paths, or go deeper than git's own
/// recursion does. It is read directory by directory, only where the two differ, and no further than the bounds, which are those of all comparisons by one of these together.
/// </summary>
internal sealed class GitTreeDiff(GitObjects objects)
{
    public const int MaxPaths = 200_000;
    public const int MaxPathBytes = 4096;
    public const int MaxSegments = 64;

    private const int PathBytesInAll = 32 * 1024 * 1024;
    private const int DirectoryBytes = 8 * 1024 * 1024;

    private readonly ImmutableArray<GitFileChange>.Builder _changes = ImmutableArray.CreateBuilder<GitFileChange>();
    private readonly ImmutableArray<GitNameClash>.Builder _clashes = ImmutableArray.CreateBuilder<GitNameClash>();
    private readonly Stack<(byte[] Path, string? From, string? To)> _left = new();
    private int _paths;
    private int _bytes;

    /// <summary>Whether a path is within the bounds.</summary>
    public static bool IsPath(ReadOnlySpan<byte> path) => path.Length <= MaxPathBytes && path.Count((byte)'/') < MaxSegments;

    /// <summary>Compares; with no <paramref name="from"/> all files of the other have been added.</summary>
    /// <exception cref="LockstepException">too-large beyond a bound.</exception>
    public async Task<GitChanges> ReadAsync(string? from, string to, CancellationToken cancellationToken)
    {
        _left.Push(([], from, to));
        while (_left.TryPop(out var next))
        {
            cancellationToken.ThrowIfCancellationRequested();
            var old = await ListAsync(next.From, cancellationToken);
            Compare(next.Path, old, await ListAsync(next.To, cancellationToken));
        }
        return new GitChanges(_changes.DrainToImmutable(), _clashes.DrainToImmutable());
    }

    private async Task<List<Entry>> ListAsync(string? id, CancellationToken cancellationToken)
    {
        if (id is null) return [];
        var tree = await objects.ReadTreeAsync(id, DirectoryBytes, cancellationToken);
        return tree.Status switch
        {
            GitBlobStatus.Found => Parse(tree.Content.Span, id.Length / 2),
            GitBlobStatus.TooLarge => throw new LockstepException(ErrorCode.TooLarge, $"a directory is {tree.Size:N0} bytes long; the limit is {DirectoryBytes:N0}: put its files in several"),
            _ => throw new LockstepException(ErrorCode.Unavailable, $"the directory {id} can't be read from the repository; see git fsck"),
        };
    }

    private void Compare(byte[] directory, List<Entry> from, List<Entry> to)
    {
        var old = new Dictionary<string, Entry>(StringComparer.Ordinal);
        foreach (var entry in from) old[entry.Name] = entry;
        foreach (var entry in to)
        {
            if (!old.Remove(entry.Name, out var was)) Add(directory, null, entry);
            else if (was != entry) Add(directory, was, entry);
        }
        foreach (var gone in old.Values) Add(directory, gone, null);
        FindClashes(directory, from, to);
    }

    private void Add(byte[] directory, Entry? from, Entry? to)
    {
        var path = PathOf(directory, (to ?? from)!.Name);
        if (!IsPath(path))
        {
            throw new LockstepException(ErrorCode.TooLarge,
                $"the path '{GitNames.Shown(Encoding.UTF8.GetString(path))}' is too long: at most {MaxPathBytes:N0} bytes and {MaxSegments} names one below the other are taken");
        }
        if (++_paths > MaxPaths || (_bytes += path.Length) > PathBytesInAll)
            throw new LockstepException(ErrorCode.TooLarge, $"more than {MaxPaths:N0} files and directories are changed at once, or more than {PathBytesInAll:N0} bytes of their paths; change fewer, in several steps");
        if (from is { IsDirectory: true } || to is { IsDirectory: true })
            _left.Push((path, from is { IsDirectory: true } ? from.Id : null, to is { IsDirectory: true } ? to.Id : null));
        var (old, next) = (KindOf(from), KindOf(to));
        if (old == GitFileKind.None && next == GitFileKind.None) return;
        var text = GitNames.Utf8(path);
        _changes.Add(new GitFileChange(text, text ?? Encoding.UTF8.GetString(path), (old, from?.Id ?? ""), (next, to?.Id ?? "")));
    }

    // Two of which one has been added. On a disk that does not tell them apart one would overwrite the other in every clone.
    private void FindClashes(byte[] directory, List<Entry> from, List<Entry> to)
    {
        var known = from.Select(e => e.Name).ToHashSet(StringComparer.Ordinal);
        if (to.TrueForAll(e => known.Contains(e.Name))) return;
        var seen = new Dictionary<string, Entry>(StringComparer.OrdinalIgnoreCase);
        foreach (var entry in to)
        {
            if (entry.Text is not { } text || seen.TryAdd(text, entry) || (known.Contains(entry.Name) && known.Contains(seen[text].Name))) continue;
            _clashes.Add(new GitNameClash(Encoding.UTF8.GetString(PathOf(directory, entry.Name)), Encoding.UTF8.GetString(PathOf(directory, seen[text].Name))));
        }
    }

    private static byte[] PathOf(byte[] directory, string name) => directory.Length == 0 ? Encoding.Latin1.GetBytes(name) : [.. directory, (byte)'/', .. Encoding.Latin1.GetBytes(name)];

    private static GitFileKind KindOf(Entry? entry) => entry is null || entry.IsDirectory ? GitFileKind.None
        : entry.Mode.StartsWith("12", StringComparison.Ordinal) ? GitFileKind.Link
        : entry.Mode.StartsWith("16", StringComparison.Ordinal) ? GitFileKind.Submodule : GitFileKind.File;

    // MODE SP NAME NUL ID each; the id is in binary.
    private static List<Entry> Parse(ReadOnlySpan<byte> tree, int idBytes)
    {
        var entries = new List<Entry>();
        while (!tree.IsEmpty)
        {
            var (space, end) = (tree.IndexOf((byte)' '), tree.IndexOf((byte)0));
            if (space < 0 || end < space || tree.Length < end + 1 + idBytes) throw new LockstepException(ErrorCode.Unavailable, "a directory of the repository is damaged; see git fsck");
            entries.Add(new Entry(
                Encoding.ASCII.GetString(tree[..space]), Encoding.Latin1.GetString(tree[(space + 1)..end]), Convert.ToHexStringLower(tree.Slice(end + 1, idBytes))));
            tree = tree[(end + 1 + idBytes)..];
        }
        return entries;
    }

    /// <param name="Mode">In octal.</param>
    /// <param name="Name">Its bytes, one character each.</param>
    /// <param name="Id">The object.</param>
    private sealed record Entry(string Mode, string Name, string Id)
    {
        public bool IsDirectory => Mode is "40000" or "040000";

        /// <summary>The name for people; null when it is not UTF-8.</summary>
        public string? Text => GitNames.Utf8(Encoding.Latin1.GetBytes(Name));
    }
}

/// <summary>What one commit changes.</summary>
/// <param name="Files">Every file, of whatever kind, in which it differs.</param>
/// <param name="Clashes">Names that were added where one is that differs in case only.</param>
internal sealed record GitChanges(ImmutableArray<GitFileChange> Files, ImmutableArray<GitNameClash> Clashes);

internal sealed record GitNameClash(string Path, string Other);
