using System.Collections.Immutable;
using Lockstep.Config.Git;
using Lockstep.Config.Parsing;
using Lockstep.Settings;
using Microsoft.Extensions.Caching.Memory;

namespace Lockstep.Config;

/// <summary>Reads the files of a document at a commit. Trees are carried from commit to commit by what changed; a file is parsed once for each blob and path.</summary>
internal sealed class SourceLoader : IDisposable
{
    private const int TreesKept = 16;

    // Sized in characters of the file; parsed entries cost a small multiple of that.
    private readonly MemoryCache _files;
    private readonly GitReader _git;
    private readonly CipherKey? _cipher;
    private readonly bool _owned;
    private readonly KnownCipherTexts? _known;
    private ImmutableQueue<ConfigTree> _order = [];
    private ImmutableDictionary<string, ConfigTree> _trees = ImmutableDictionary.Create<string, ConfigTree>(StringComparer.Ordinal);
    private readonly Lock _treesLock = new();

    public SourceLoader(GitReader git, CipherKey? cipher = null) =>
        (_git, _cipher, _files, _owned) = (git, cipher, new MemoryCache(new MemoryCacheOptions { SizeLimit = 64 * 1024 * 1024 }), true);

    private SourceLoader(GitReader git, KnownCipherTexts known, SourceLoader other) =>
        (_git, _known, _cipher, _files, _trees, _order) = (git, known, other._cipher, other._files, Volatile.Read(ref other._trees), other._order);

    /// <summary>A loader for commits that only <paramref name="git"/> reads. It shares the parsed files, which are known by their content and path, and keeps its trees to itself.</summary>
    public SourceLoader Over(GitReader git, KnownCipherTexts known)
    {
        lock (_treesLock) return new SourceLoader(git, known, this);
    }

    public async Task<SourceSet> LoadAsync(
        DocumentKey key, (string Name, string Commit) label, DocumentShape shape, CancellationToken cancellationToken)
    {
        var set = await ReadAsync(key, label, shape, cancellationToken);
        var known = _known is not null && SourceShaping.HasEncrypted(set) ? await _known(key, label.Commit, cancellationToken) : null;
        return SourceShaping.Apply(set, shape, _cipher, known);
    }

    /// <summary>The encrypted values that the files of a document hold.</summary>
    public async Task<IReadOnlySet<string>> CipherTextsAsync(
        DocumentKey key, (string Name, string Commit) label, DocumentShape shape, CancellationToken cancellationToken) =>
        SourceShaping.EncryptedOf(await ReadAsync(key, label, shape, cancellationToken));

    private async Task<SourceSet> ReadAsync(
        DocumentKey key, (string Name, string Commit) label, DocumentShape shape, CancellationToken cancellationToken)
    {
        var tree = await TreeAsync(label.Commit, cancellationToken);
        var plan = SearchPlan.Create(key, label.Name, shape.SearchPaths, tree);
        var files = new Dictionary<string, ParsedFile>(StringComparer.Ordinal);
        foreach (var file in plan.Files)
            files[file.Path] = await FileAsync(file.Path, file.BlobId, cancellationToken);
        return SourceSet.Create(plan, path => files[path]);
    }

    /// <summary>Makes the tree of <paramref name="to"/> from that of <paramref name="from"/> and returns the paths that differ.</summary>
    public async Task<ImmutableArray<string>> AdvanceAsync(string from, string to, CancellationToken cancellationToken)
    {
        var (tree, changed) = await _git.DiffAsync(await TreeAsync(from, cancellationToken), to, cancellationToken);
        Keep(tree);
        return changed;
    }

    /// <summary>Makes sure that a commit can be read.</summary>
    public Task ReadAsync(string commit, CancellationToken cancellationToken) => TreeAsync(commit, cancellationToken);

    public void Dispose()
    {
        if (_owned) _files.Dispose();
    }

    private async Task<ConfigTree> TreeAsync(string commit, CancellationToken cancellationToken)
    {
        if (commit.Length == 0) return ConfigTree.Empty;
        if (Volatile.Read(ref _trees).TryGetValue(commit, out var tree)) return tree;
        tree = await _git.ReadTreeAsync(commit, cancellationToken);
        Keep(tree);
        return tree;
    }

    private void Keep(ConfigTree tree)
    {
        lock (_treesLock)
        {
            if (_trees.ContainsKey(tree.Commit)) return;
            var trees = _trees.Add(tree.Commit, tree);
            _order = _order.Enqueue(tree);
            if (trees.Count > TreesKept)
            {
                _order = _order.Dequeue(out var oldest);
                trees = trees.Remove(oldest.Commit);
            }
            Volatile.Write(ref _trees, trees);
        }
    }

    /// <summary>What a file says; the path decides how it is read.</summary>
    public async Task<ParsedFile> FileAsync(string path, string blob, CancellationToken cancellationToken)
    {
        // The path is part of the key: it decides the syntax and stands in error messages.
        var key = (blob, path);
        if (_files.TryGetValue(key, out ParsedFile? parsed)) return parsed!;
        var content = await _git.Objects.ReadAsync(blob, ConfigLimits.FileBytes, cancellationToken);
        parsed = content.Status == GitBlobStatus.Found ? ConfigFileParser.Parse(path, content.Content) : Unreadable(path, content);
        // What is damaged or missing now may be there after the next fetch.
        if (content.Status is GitBlobStatus.Damaged or GitBlobStatus.Missing) return parsed;
        _files.Set(key, parsed, new MemoryCacheEntryOptions { Size = 256 + Math.Min(content.Size, ConfigLimits.FileBytes) });
        return parsed;
    }

    private static ParsedFile Unreadable(string path, GitBlob blob) => ParsedFile.Failed(path, 1, blob.Status switch
    {
        GitBlobStatus.TooLarge => $"the file is {blob.Size:N0} bytes long; the limit is {ConfigLimits.FileBytes:N0}",
        GitBlobStatus.Damaged => "the file is damaged in the repository; see git fsck",
        _ => "the file is missing from the repository; see git fsck",
    });
}

/// <summary>The encrypted values that may be decrypted in a document at a commit; null: all.</summary>
internal delegate Task<IReadOnlySet<string>?> KnownCipherTexts(DocumentKey key, string commit, CancellationToken cancellationToken);
