using System.Globalization;
using Lockstep.Access;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Lockstep.Http;

/// <summary><c>/v1/rekey</c> and <c>/v1/backup</c>.</summary>
internal sealed class KeyRoutes(Gate.Gate gate)
{
    // Who takes a backup more slowly than this is cut off: it holds up the next one.
    private const double SlowestBytesPerSecond = 64 * 1024;

    public void Map(Api api)
    {
        api.Map("POST", "/v1/rekey", RekeyAsync);
        api.Map("GET", "/v1/backup", BackupAsync, isLong: true);
    }

    private async Task RekeyAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        await Responses.JsonAsync(context, await gate.RekeyAsync(call), WireJson.Context.RekeyResult);
    }

    private async Task BackupAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        await using var backup = await gate.BackupAsync(call, context.RequestAborted);
        if (context.Features.Get<IHttpMinResponseDataRateFeature>() is { } rate) rate.MinDataRate = new MinDataRate(SlowestBytesPerSecond, TimeSpan.FromSeconds(10));
        var response = context.Response;
        response.ContentType = "application/octet-stream";
        response.ContentLength = backup.File.Length;
        response.Headers["Lockstep-Release"] = backup.Release.ToString(CultureInfo.InvariantCulture);
        await backup.File.CopyToAsync(response.Body, context.RequestAborted);
    }
}
