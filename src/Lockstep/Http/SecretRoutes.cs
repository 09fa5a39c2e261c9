using System.Security.Cryptography;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Gate;
using Lockstep.Secrets;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Http;

/// <summary><c>/v1/secrets</c> with its companions, and <c>/secrets</c>, which is the same.</summary>
internal sealed class SecretRoutes(Gate.Gate gate)
{
    public void Map(Api api)
    {
        foreach (var root in (string[])["/v1/secrets", "/secrets"])
        {
            api.Map("POST", root, CreateAsync);
            api.Map("GET", root, ListAsync);
            api.Map("GET", root + "/{**id}", GetAsync);
            api.Map("PUT", root + "/{**id}", PutAsync);
            api.Map("DELETE", root + "/{**id}", DeleteAsync);
        }
        api.Map("GET", "/v1/secret-versions/{**id}", VersionsAsync);
        api.Map("POST", "/v1/secret-activations/{**id}", ActivateAsync);
        api.Map("POST", "/v1/secret-restores/{**id}", RestoreAsync);
    }

    private async Task CreateAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        var body = await Requests.BodyAsync(context, LockstepJson.Default.SecretCreate);
        var made = await gate.CreateSecretAsync(call, Requests.Secret(body.Id), Requests.Value(body.Value), context.RequestAborted);
        // In a path the '%' of an id is encoded once more.
        context.Response.Headers.Location = "/v1/secrets/" + made.Id.Value.Replace("%", "%25", StringComparison.Ordinal);
        await WriteAsync(context, made, 201);
    }

    private async Task ListAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "filter", "prefix", "limit", "after");
        var limit = (int)(Requests.Number(context, "limit", 1, SecretCatalog.MaxLimit) ?? 100);
        var query = new SecretQuery(Requests.Text(context, "prefix"), Requests.Text(context, "filter"), Requests.Text(context, "after"), limit);
        var page = await gate.ListSecretsAsync(call, query, context.RequestAborted);
        await Responses.JsonAsync(context, new Page<SecretMetadata>
        {
            Items = [.. page.Items.Select(s => ToMetadata(s, null))],
            Next = page.Next,
        }, WireJson.Context.SecretPage);
    }

    private async Task GetAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "version");
        var read = await gate.ReadSecretAsync(call, Requests.Secret(context), (int?)Requests.Number(context, "version", 1, int.MaxValue), SealTo(context), context.RequestAborted);
        await Responses.JsonAsync(context, ToMetadata(read.Info, read.Sealed), WireJson.Context.SecretMetadata);
    }

    private async Task PutAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "activate", "force");
        var body = await Requests.BodyAsync(context, LockstepJson.Default.SecretPut);
        if (body.Cas < 0) throw new LockstepException(ErrorCode.BadRequest, "the field 'cas' must be a version, or 0 for a secret that does not exist yet");
        var write = new SecretWrite(Requests.Secret(context), Requests.Value(body.Value), call.Caller.Name, Staged: !Requests.Flag(context, "activate", true));
        await WriteAsync(context, await gate.PutSecretAsync(call, write, body.Cas, Requests.Flag(context, "force", false), context.RequestAborted), 200);
    }

    private async Task DeleteAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "purge", "force");
        await gate.DeleteSecretAsync(
            call, Requests.Secret(context), Requests.Flag(context, "purge", false), Requests.Flag(context, "force", false), context.RequestAborted);
        context.Response.StatusCode = 204;
    }

    private async Task VersionsAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        var read = await gate.ReadSecretAsync(call, Requests.Secret(context), null, null, context.RequestAborted);
        await Responses.JsonAsync(context, new Page<SecretVersion> { Items = Versions(read.Info) }, WireJson.Context.SecretVersionPage);
    }

    private async Task ActivateAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "force");
        var body = await Requests.BodyAsync(context, LockstepJson.Default.ActivateRequest);
        var force = Requests.Flag(context, "force", false);
        await WriteAsync(context, await gate.ActivateSecretAsync(call, Requests.Secret(context), body.Version, force, context.RequestAborted), 200);
    }

    private async Task RestoreAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        await WriteAsync(context, await gate.RestoreSecretAsync(call, Requests.Secret(context), context.RequestAborted), 200);
    }

    private static ECPoint? SealTo(HttpContext context)
    {
        if (!context.Request.Headers.TryGetValue("Lockstep-Seal-To", out var header)) return null;
        return header.Count == 1 && header[0] is { } key
            ? Jwe.ParsePublicKey(key)
            : throw new LockstepException(ErrorCode.BadRequest, "the header Lockstep-Seal-To is given more than once");
    }

    private static Task WriteAsync(HttpContext context, SecretChange change, int status) => Responses.JsonAsync(
        context, new SecretWritten { Id = change.Id.Value, Version = change.Version, Release = change.Release }, WireJson.Context.SecretWritten, status);

    private static SecretMetadata ToMetadata(SecretInfo info, string? sealedValue) => new()
    {
        Id = info.Id.Value,
        Mount = info.Mount,
        Active = info.Active,
        Versions = Versions(info),
        Value = sealedValue,
    };

    private static List<SecretVersion> Versions(SecretInfo info) => [.. info.Versions.Select(v => new SecretVersion
    {
        Version = v.Version,
        State = v.State,
        CreatedAt = v.CreatedAt,
        CreatedBy = v.CreatedBy,
    })];
}
