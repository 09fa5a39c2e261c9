using System.Collections.Frozen;
using Lockstep.Client;
using Lockstep.Config.Git;
using Microsoft.Extensions.Caching.Memory;

namespace Lockstep.Config;

/// <summary>
/// Any file of a commit, found by its path from tree to tree. Only regular files are found: a symbolic link is neither followed nor read, nor is
/// there a way through one or into a submodule.
/// </summary>
internal sealed class RepositoryFiles(GitRepository git) : IDisposable
{
    private const int TreeBytes = 8 * 1024 * 1024;

    /// <summary>How many directories a wildcard may lead through.</summary>
    private const int DirectoriesVisited = 10_000;

    // By the id of the tree or commit: what it holds never changes. Sized in bytes of the tree.
    private readonly MemoryCache _trees = new(new MemoryCacheOptions { SizeLimit = 16 * 1024 * 1024 });

    /// <summary>The id of a file's content; null when there is no regular file at the path, which is relative and in normal form.</summary>
    public async Task<string?> FindAsync(string commit, string path, CancellationToken cancellationToken)
    {
        if (commit.Length == 0) return null;
        var slash = path.LastIndexOf('/');
        if (await DirectoryAsync(commit, slash < 0 ? "" : path[..slash], cancellationToken) is not { } directory) return null;
        var entries = await EntriesAsync(directory, cancellationToken);
        return entries.TryGetValue(path[(slash + 1)..], out var entry) && entry.Kind == TreeEntryKind.File ? entry.Id : null;
    }

    /// <exception cref="LockstepException">too-large, or unavailable when it is damaged.</exception>
    public async Task<ReadOnlyMemory<byte>> ReadAsync(string path, string blob, CancellationToken cancellationToken)
    {
        var content = await git.Objects.ReadAsync(blob, ConfigLimits.FileBytes, cancellationToken);
        return content.Status switch
        {
            GitBlobStatus.Found => content.Content,
            GitBlobStatus.TooLarge => throw new LockstepException(ErrorCode.TooLarge, $"the file '{path}' is {content.Size:N0} bytes long; the limit is {ConfigLimits.FileBytes:N0}"),
            _ => throw new LockstepException(ErrorCode.Unavailable, $"the file '{path}' can't be read from the repository; see git fsck"),
        };
    }

    /// <summary>The directories that a wildcard search path stands for, sorted.</summary>
    /// <exception cref="LockstepException">invalid-config when it leads through too many.</exception>
    public async Task<IReadOnlyList<string>> DirectoriesAsync(string commit, string pattern, CancellationToken cancellationToken)
    {
        if (commit.Length == 0) return [];
        var segments = pattern.Split('/');
        var literal = segments.TakeWhile(s => !DirectoryPattern.IsPattern(s)).ToArray();
        var depth = segments.Contains("**") ? int.MaxValue : segments.Length;
        var root = string.Join('/', literal);
        var found = new List<string>();
        var next = new Queue<(string Path, int Depth, string Id)>();
        if (await DirectoryAsync(commit, root, cancellationToken) is { } start) next.Enqueue((root, literal.Length, start));
        for (var visited = 1; next.TryDequeue(out var directory); visited++)
        {
            if (visited > DirectoriesVisited)
                throw new LockstepException(ErrorCode.InvalidConfig, $"the search path '{pattern}' leads through more than {DirectoriesVisited:N0} directories; make it narrower");
            if (DirectoryPattern.IsMatch(pattern, directory.Path)) found.Add(directory.Path);
            if (directory.Depth >= depth) continue;
            var segment = depth == int.MaxValue ? "**" : segments[directory.Depth];
            foreach (var (name, entry) in await EntriesAsync(directory.Id, cancellationToken))
                if (entry.Kind == TreeEntryKind.Directory && DirectoryPattern.IsMatch(segment, name))
                    next.Enqueue((directory.Path.Length == 0 ? name : $"{directory.Path}/{name}", directory.Depth + 1, entry.Id));
        }
        found.Sort(StringComparer.Ordinal);
        return found;
    }

    public void Dispose() => _trees.Dispose();

    private async Task<string?> DirectoryAsync(string commit, string path, CancellationToken cancellationToken)
    {
        var id = commit;
        if (path.Length == 0) return id;
        foreach (var name in path.Split('/'))
        {
            var entries = await EntriesAsync(id, cancellationToken);
            if (!entries.TryGetValue(name, out var entry) || entry.Kind != TreeEntryKind.Directory) return null;
            id = entry.Id;
        }
        return id;
    }

    private async Task<FrozenDictionary<string, TreeEntry>> EntriesAsync(string id, CancellationToken cancellationToken)
    {
        if (_trees.TryGetValue(id, out FrozenDictionary<string, TreeEntry>? entries)) return entries!;
        var tree = await git.Objects.ReadTreeAsync(id, TreeBytes, cancellationToken);
        if (tree.Status != GitBlobStatus.Found)
            throw new LockstepException(ErrorCode.Unavailable, "a directory of the repository can't be read; see git fsck");
        entries = Parse(tree.Content.Span, id.Length / 2);
        _trees.Set(id, entries, new MemoryCacheEntryOptions { Size = 256 + tree.Size });
        return entries;
    }

    private static FrozenDictionary<string, TreeEntry> Parse(ReadOnlySpan<byte> tree, int idBytes)
    {
        var entries = new Dictionary<string, TreeEntry>(StringComparer.Ordinal);
        while (!tree.IsEmpty)
        {
            var space = tree.IndexOf((byte)' ');
            var end = tree.IndexOf((byte)0);
            if (space < 0 || end < space || tree.Length < end + 1 + idBytes) break;
            var mode = tree[..space];
            var kind = mode.SequenceEqual("40000"u8) ? TreeEntryKind.Directory : mode.StartsWith("100"u8) ? TreeEntryKind.File : TreeEntryKind.Other;
            // A name that is no UTF-8 cannot be asked for.
            if (GitNames.Utf8(tree[(space + 1)..end]) is { } name)
                entries[name] = new TreeEntry(kind, Convert.ToHexStringLower(tree.Slice(end + 1, idBytes)));
            tree = tree[(end + 1 + idBytes)..];
        }
        return entries.ToFrozenDictionary(StringComparer.Ordinal);
    }

    private enum TreeEntryKind { File, Directory, Other }

    private readonly record struct TreeEntry(TreeEntryKind Kind, string Id);
}
