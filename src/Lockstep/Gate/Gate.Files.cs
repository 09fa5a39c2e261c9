using System.Collections.Immutable;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Releases;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    /// <summary>A file of the repository at a branch, tag or commit.</summary>
    public async Task<RepositoryFile> ReadFileAsync(CallContext call, string path, string? label, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.ConfigRead, Subject.OfPath(path), "file.read");
        RequireFilePath(path);
        var release = Lane.Live.Release;
        var name = label ?? TrackedBranch;
        var commit = release.CommitOf(name) ?? await Repository.Reader.ResolveCommitAsync(name, cancellationToken)
            ?? throw new LockstepException(ErrorCode.NotFound, $"'{GitNames.Shown(name)}' is no branch, tag or commit of the repository");
        var id = await Repository.Reader.FileAsync(commit, path, cancellationToken) ?? throw NoFile(path, name);
        var blob = await Repository.Objects.ReadAsync(id, ConfigLimits.FileBytes, cancellationToken);
        return blob.Status switch
        {
            GitBlobStatus.Found => new RepositoryFile(release.Number, ETagOf(id)!, blob.Content),
            GitBlobStatus.TooLarge => throw new LockstepException(ErrorCode.TooLarge, $"{path} is {blob.Size:N0} bytes long; the limit is {ConfigLimits.FileBytes:N0}. Clone the repository to get it"),
            _ => throw new LockstepException(ErrorCode.Unavailable, $"{path} can't be read from the repository; see git fsck"),
        };
    }

    /// <summary>
    /// Makes one commit of one file by the caller, if it is as sound as a push must be. With a remote the commit is pushed there first, and counts when the remote has
    /// taken it. When it completes, readers see it.
    /// </summary>
    /// <exception cref="LockstepException">
    /// precondition-failed when the file is another one; invalid-config when it does not parse; conflict when documents would break, or the branch moved meanwhile;
    /// unavailable when the remote does not answer: nothing has changed then.
    /// </exception>
    public async Task<FileWritten> WriteFileAsync(CallContext call, FileWrite write, CancellationToken cancellationToken)
    {
        var action = write.Content is null ? "file.delete" : "file.write";
        await RequireAsync(call, Permission.ConfigWrite, Subject.OfPath(write.Path), action);
        RequireFilePath(write.Path);
        try
        {
            using var held = await Repository.LockAsync(cancellationToken);
            return await WriteHeldAsync(call, write, action, cancellationToken);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Conflict && e.Errors.Count == 0 && !Repository.IsEmbedded)
        {
            // The remote has moved: so that who reads again sees what is there now. What fails is told by the next refresh.
            await RefreshQuietlyAsync(cancellationToken);
            throw;
        }
    }

    private async Task<FileWritten> WriteHeldAsync(CallContext call, FileWrite write, string action, CancellationToken cancellationToken)
    {
        var branch = write.Label ?? TrackedBranch;
        var name = GitNames.BranchRef(branch);
        var parent = (await Repository.RefsAsync(cancellationToken)).GetValueOrDefault(name);
        if (parent is null && (branch != TrackedBranch || !Repository.IsEmbedded))
            throw new LockstepException(ErrorCode.NotFound, $"'{GitNames.Shown(branch)}' is no branch of the repository; files are written on branches");
        var id = parent is null ? null : await Repository.Reader.FileAsync(parent, write.Path, cancellationToken);
        if (!write.Holds(ETagOf(id)))
        {
            throw new LockstepException(ErrorCode.PreconditionFailed, id is null
                ? $"there is no file {write.Path} on {branch}; create it with If-None-Match: *"
                : $"{write.Path} on {branch} is another one by now: its ETag is {ETagOf(id)}; read it again and repeat the change on what is there");
        }
        if (write.Content is null && id is null) throw NoFile(write.Path, branch);

        var files = new Dictionary<string, byte[]?>(StringComparer.Ordinal) { [write.Path] = write.Content };
        var message = write.Message ?? $"{(write.Content is null ? "delete" : id is null ? "add" : "change")} {write.Path}";
        using var slot = await Candidates.WriteSlotAsync(cancellationToken);
        await using var scratch = Repository.Scratch();
        var commit = await scratch.CommitAsync(parent, files, call.Caller.Name, message, cancellationToken);
        if (commit != parent)
        {
            var report = await Candidates.EvaluateAsync(
                scratch.Reader, state => state with { Refs = state.Refs.SetItem(name, commit) }, [], key => MayDecrypt(call.Caller, key), cancellationToken);
            await AuthoriseAsync(call, report, action);
            RefuseUnsound(call.Caller, report);
            // The check may have taken its time; what was rolled meanwhile writes nothing.
            Authenticator.EnsureCurrent(call.Caller);
            // From here on it is made to the end, whether the caller still waits or not: where the branch stands must not stay unseen.
            commit = await Repository.CommitHeldAsync(scratch, (branch, parent, commit), files, (call.Caller.Name, message), CancellationToken.None);
        }
        var now = write.Content is null ? null : await scratch.Reader.FileAsync(commit, write.Path, CancellationToken.None);
        return new FileWritten(commit, ETagOf(now), await PushedAsync(call));
    }

    private async Task RefreshQuietlyAsync(CancellationToken cancellationToken)
    {
        try
        {
            await RefreshAsync(CallContext.System("git"), cancellationToken);
        }
        catch (LockstepException)
        {
        }
    }

    private static void RefuseUnsound(Caller caller, CandidateReport report)
    {
        if (report.IsSound) return;
        var broken = report.Broken.Where(d => MayKnow(caller, d.Key)).ToList();
        var others = report.Broken.Count() - broken.Count;
        var names = others == 0 ? Few(broken.Select(d => d.Key))
            : $"{(broken.Count == 0 ? "" : Few(broken.Select(d => d.Key)) + " and ")}{Count(others, "document")} that the token may not read";
        var errors = report.Errors.Select(e => e.ToProblem())
            .Concat(broken.SelectMany(d => d.Errors.Take(3).Select(e => e.ToProblem() with { Message = $"{d.Key}: {e.Message}" }))).Take(100).ToList();
        throw report.Errors.IsEmpty
            ? new LockstepException(ErrorCode.Conflict, $"this would break {names}; nothing has changed") { Errors = errors }
            : new LockstepException(ErrorCode.InvalidConfig, "the file can't be used as it is; nothing has changed") { Errors = errors };
    }

    private static void RequireFilePath(string path)
    {
        if (!GitNames.IsFilePath(path))
            throw new LockstepException(ErrorCode.BadRequest, $"'{GitNames.Shown(path)}' can't be the path of a file: it must be relative, with no empty, '.', '..' or '.git…' part and no control characters");
    }

    private static string? ETagOf(string? id) => id is null ? null : $"\"{id}\"";

    private static LockstepException NoFile(string path, string label) => new(ErrorCode.NotFound, $"there is no file {path} at '{GitNames.Shown(label)}'");
}
