using System.Security.Cryptography;
using System.Text.Json;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Releases;
using Lockstep.Secrets;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    /// <summary>What is known of a secret, and its value sealed to <paramref name="sealTo"/> when the caller may see it.</summary>
    /// <param name="call">Who asks.</param>
    /// <param name="id">Which secret.</param>
    /// <param name="version">Which version's value; null: the active one.</param>
    /// <param name="sealTo">The public key of the reader; null: no value is wanted.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task<SecretRead> ReadSecretAsync(CallContext call, SecretId id, int? version, ECPoint? sealTo, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.SecretRead, Subject.Of(id), "secret.read");
        var info = await InfoAsync(id, cancellationToken);
        if (version is { } wanted) RequireVersion(info, wanted);
        var number = version ?? info.Active;
        if (sealTo is not { } reader || number is not { } shown || !call.Caller.Can(Permission.SecretReveal, Subject.Of(id))) return new SecretRead(info, null);

        var value = await Secrets.ReadAsync(id, shown, cancellationToken);
        await RecordDisclosureAsync(call, Entry(call, "secret.read", id.Value) with { Secrets = [$"{id}@{shown}"] }, cancellationToken);
        var plaintext = JsonSerializer.SerializeToUtf8Bytes(
            new SecretPlaintext { Id = id.Value, Version = shown, Value = value.Reveal() }, LockstepJson.Default.SecretPlaintext);
        try
        {
            return new SecretRead(info, Jwe.Seal(reader, plaintext));
        }
        finally
        {
            CryptographicOperations.ZeroMemory(plaintext);
        }
    }

    /// <summary>A page of the secrets that the caller may know of. A page may be short and yet have a next one.</summary>
    public async Task<SecretPage> ListSecretsAsync(CallContext call, SecretQuery query, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.SecretRead, Subject.Nothing, "secret.list");
        bool MayKnow(SecretId id) => call.Caller.Can(Permission.SecretRead, Subject.Of(id));
        query = query with { After = Cursors.Open(query.After) };
        var page = await Database.ReadAsync(session => SecretCatalog.List(session, query, MayKnow, cancellationToken), cancellationToken);
        // The scan may have ended at an id that the caller must not learn of.
        return page.Next is { } next && !MayKnow(SecretId.Parse(next)) ? page with { Next = Cursors.Seal(next) } : page;
    }

    /// <summary>Makes a secret that does not exist.</summary>
    public Task<SecretChange> CreateSecretAsync(CallContext call, SecretId id, SecretValue value, CancellationToken cancellationToken) =>
        WriteSecretAsync(call, new SecretWrite(id, value, call.Caller.Name, Staged: false), exists =>
        {
            if (exists) throw new LockstepException(ErrorCode.AlreadyExists, $"the secret '{id}' exists; PUT (lockstep secret set) writes a new version");
            return 0;
        }, force: false, cancellationToken);

    /// <summary>Writes a new version of a secret, which must exist unless <paramref name="cas"/> is 0.</summary>
    public Task<SecretChange> PutSecretAsync(
        CallContext call, SecretWrite write, int? cas, bool force, CancellationToken cancellationToken) =>
        WriteSecretAsync(call, write, exists => exists || cas == 0
            ? cas
            : throw Missing(write.Id, $"; create it with POST /v1/secrets, or put it with \"cas\":0"), force, cancellationToken);

    /// <summary>Makes a version the active one.</summary>
    public async Task<SecretChange> ActivateSecretAsync(CallContext call, SecretId id, int version, bool force, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.SecretWrite, Subject.Of(id), "secret.activate");
        using var held = await HoldPushesAsync(force, cancellationToken);
        var outcome = await Lane.RunAsync(async (live, ct) =>
        {
            var info = await InfoAsync(id, ct);
            RequireVersion(info, version);
            return Change(call, live, (id, version), "secret.activate", version, session => SecretCatalog.MarkActive(session, id, version)) with { MayBreak = force };
        }, cancellationToken);
        return new SecretChange(id, version, outcome.Release.Number);
    }

    /// <summary>Deletes a secret: softly, or for good with all its versions.</summary>
    public async Task DeleteSecretAsync(CallContext call, SecretId id, bool purge, bool force, CancellationToken cancellationToken)
    {
        var action = purge ? "secret.purge" : "secret.delete";
        await RequireAsync(call, Permission.SecretWrite, Subject.Of(id), action);
        var store = SoftDeleting(id);
        var last = 0;
        using var held = await HoldPushesAsync(force, cancellationToken);
        await Lane.RunAsync(async (live, ct) =>
        {
            var prepared = purge ? await store.PurgeAsync(id, ct) : await store.DeleteAsync(id, ct);
            last = prepared.Version;
            return Change(call, live, (id, prepared.Version), action, null, prepared.Persist) with { MayBreak = force };
        }, cancellationToken);
        // Statement order matters: documents of the past are made through Secrets, so that forgets first.
        for (var version = 1; version <= last; version++) Secrets.Forget(id, version);
        if (purge) History.ForgetAll();
    }

    /// <summary>Takes a soft deletion back: the version that was active is active again.</summary>
    public async Task<SecretChange> RestoreSecretAsync(CallContext call, SecretId id, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.SecretWrite, Subject.Of(id), "secret.restore");
        var store = SoftDeleting(id);
        int? active = null;
        var latest = 0;
        var outcome = await Lane.RunAsync(async (live, ct) =>
        {
            var prepared = await store.RestoreAsync(id, ct);
            latest = prepared.Version;
            active = (await Database.ReadAsync(session => SecretCatalog.Get(session, id), ct))?.Active;
            return Change(call, live, (id, active ?? prepared.Version), "secret.restore", active, prepared.Persist) with { MayBreak = true };
        }, cancellationToken);
        return new SecretChange(id, active ?? latest, active is null ? null : outcome.Release.Number);
    }

    private async Task<SecretChange> WriteSecretAsync(
        CallContext call, SecretWrite write, Func<bool, int?> casFor, bool force, CancellationToken cancellationToken)
    {
        var id = write.Id;
        await RequireAsync(call, Permission.SecretWrite, Subject.Of(id), "secret.write");
        var version = 0;
        try
        {
            var outcome = await Lane.RunAsync(async (live, ct) =>
            {
                // One with an active version need not be looked up.
                var cas = casFor(live.Release.ActiveVersion(id) is not null || await Database.ReadAsync(session => SecretCatalog.Exists(session, id), ct));
                var prepared = await Mounts.StoreOf(id).WriteAsync(write, cas, ct);
                version = prepared.Version;
                // The documents are evaluated before the rows are there.
                Secrets.Remember(id, version, write.Value);
                var (action, active) = write.Staged ? ("secret.stage", live.Release.ActiveVersion(id)) : ("secret.write", version);
                return Change(call, live, (id, version), action, active, prepared.Persist) with { MayBreak = force };
            }, cancellationToken);
            return new SecretChange(id, version, write.Staged ? null : outcome.Release.Number);
        }
        catch
        {
            if (version > 0) Secrets.Forget(id, version);
            throw;
        }
    }

    // What a push was checked with stays until it is live: a version taken away in between would break a document that nobody could have known of.
    private async Task<IDisposable?> HoldPushesAsync(bool force, CancellationToken cancellationToken)
    {
        if (force || !Repository.IsEmbedded) return null;
        return await Repository.LockBrieflyAsync(cancellationToken) ?? throw new LockstepException(ErrorCode.Unavailable,
            "a push is under way that may need the secret; try again in a moment, or ?force=true (--force) does it all the same");
    }

    // The release in which `active` is the secret's active version (null: none), with its record; no release when it is so already.
    private ReleaseChange Change(
        CallContext call, LiveState live, (SecretId Id, int Version) subject, string action, int? active, Action<Storage.SqlSession>? persist)
    {
        var next = live.Release;
        if (next.ActiveVersion(subject.Id) != active)
            next = next.Next(Time).Activate(subject.Id, active);
        return new ReleaseChange("secret", call.Caller.Name, next)
        {
            Message = $"{action} {subject.Id}@{subject.Version}",
            MayName = key => MayKnow(call.Caller, key),
            Persist = session =>
            {
                persist?.Invoke(session);
                Record(session, call, Entry(call, action, subject.Id.Value) with { Release = next.Number, Secrets = [$"{subject.Id}@{subject.Version}"] });
            },
        };
    }

    private async Task<SecretInfo> InfoAsync(SecretId id, CancellationToken cancellationToken) =>
        await Database.ReadAsync(session => SecretCatalog.Get(session, id), cancellationToken) is { DeletedAt: null } info ? info : throw Missing(id, "");

    private static void RequireVersion(SecretInfo info, int version)
    {
        if (!info.Versions.Any(v => v.Version == version && v.State != SecretState.Destroyed))
            throw new LockstepException(ErrorCode.NotFound, $"the secret '{info.Id}' has no version {version} (any more)");
    }

    private ISoftDelete SoftDeleting(SecretId id) => Mounts.StoreOf(id) as ISoftDelete
        ?? throw new LockstepException(ErrorCode.BadRequest, $"the mount '{Mounts.MountOf(id)}' can't delete secrets");

    private static LockstepException Missing(SecretId id, string wayOut) => new(ErrorCode.NotFound, $"the secret '{id}' does not exist{wayOut}");
}
