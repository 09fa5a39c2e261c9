using Lockstep.Access;
using Lockstep.Audit;
using Lockstep.Client;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace Lockstep.Http;

/// <summary>
/// <c>POST /v1/hooks/git</c>: a Git host says that something was pushed. The signature is all that is looked at: whatever the event, the server fetches
/// soon, which is also all that a delivery sent again can cause.
/// </summary>
internal sealed class HookRoutes(Gate.Gate gate, FailedAuthentications failures, RateLimits rates, ILogger<HookRoutes> log)
{
    /// <summary>What GitHub sends at most. Only a body that somebody claims to have signed is read.</summary>
    private const long MaxBody = 25 * 1024 * 1024;

    private static readonly TimeSpan s_bodyTime = TimeSpan.FromSeconds(10);

    private readonly WebhookSecret? _secret = WebhookSecret.Open(gate.Options.Config.WebhookSecretFile, log);

    public void Map(Api api) => api.MapOpen("POST", "/v1/hooks/git", GitAsync);

    private async Task GitAsync(HttpContext context)
    {
        if (_secret is null)
            throw new LockstepException(ErrorCode.NotFound, "no webhooks are taken here: config.webhookSecretFile is not set");
        Requests.AllowQuery(context);
        var verdict = HookSignatures.AreIn(context.Request.Headers) ? await CheckAsync(_secret.Current(), context) : HookVerdict.Unsigned;
        if (verdict != HookVerdict.Signed)
        {
            var address = context.Connection.RemoteIpAddress;
            if (address is { IsIPv4MappedToIPv6: true }) address = address.MapToIPv4();
            failures.Count(address, verdict == HookVerdict.Unsigned ? "webhook-unsigned" : "webhook-signature");
            rates.Failure(address);
            throw new LockstepException(ErrorCode.Unauthenticated, verdict == HookVerdict.Unsigned
                ? "the delivery is not signed: set the secret of config.webhookSecretFile at the Git host too"
                : "a signature of the delivery is not right: the secret at the Git host is not that of config.webhookSecretFile");
        }
        gate.FetchSoon();
        context.Response.StatusCode = StatusCodes.Status202Accepted;
    }

    private async Task<HookVerdict> CheckAsync(string secret, HttpContext context)
    {
        using var signatures = new HookSignatures(context.Request.Headers, secret);
        context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>().MaxRequestBodySize = MaxBody;
        using var limit = new CancellationTokenSource(s_bodyTime, gate.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, context.RequestAborted);
        try
        {
            return await signatures.CheckAsync(context.Request.BodyReader, either.Token);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            throw new LockstepException(ErrorCode.BadRequest, $"the body did not arrive within {s_bodyTime.TotalSeconds} s");
        }
    }
}
