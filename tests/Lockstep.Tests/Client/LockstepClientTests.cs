using System.Text;
using System.Text.Json;
using Lockstep.Client;
using Microsoft.AspNetCore.Http;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Client;

public sealed class LockstepClientTests
{
    private const string Token = "lks_test_token";

    [Fact]
    public async Task Names_can_not_change_the_route()
    {
        await using var server = await FakeServer.StartAsync("""{"id":"x"}""");
        using var client = New(server);
        await client.GetSecretAsync("a/b%2Fc+d=e", 3);
        server.Requests.Single().ToString().ShouldBe("GET /v1/secrets/a/b%252Fc%2Bd%3De?version=3");
        foreach (var id in new[] { "../tokens", "a//b", "a/./b", "", "/a" })
            (await Should.ThrowAsync<LockstepException>(() => client.GetSecretAsync(id))).Code.ShouldBe(ErrorCode.BadRequest);
        await Should.ThrowAsync<LockstepException>(() => client.GetConfigAsync("..", "secrets"));
        server.Requests.Count.ShouldBe(1);
    }

    [Fact]
    public async Task Config_is_asked_for_with_label_release_and_etag()
    {
        await using var server = await FakeServer.StartAsync(context =>
        {
            context.Response.Headers.ETag = "W/\"abc\"";
            if (context.Request.Headers.IfNoneMatch.Count == 0) return FakeServer.Json(context, FakeServer.Snapshot("""{"a":1}"""));
            context.Response.StatusCode = 304;
            return Task.CompletedTask;
        });
        using var client = New(server, "node-1");
        var first = await client.GetConfigAsync("payments", "a,b", new ConfigQuery { Label = "feature/x y", Release = 7 });
        first.Snapshot!.Values["a"].GetInt32().ShouldBe(1);
        var again = await client.GetConfigAsync("payments", "a,b", new ConfigQuery { IfNoneMatch = first.ETag });
        again.Snapshot.ShouldBeNull();
        again.ETag.ShouldBe("W/\"abc\"");
        server.Requests.Select(r => r.ToString()).ShouldBe(["GET /v1/config/payments/a%2Cb?label=feature%2Fx%20y&release=7", "GET /v1/config/payments/a%2Cb"]);
        server.Requests.ShouldAllBe(r => r.Headers.Authorization == "Bearer " + Token && r.Headers["Lockstep-Instance"] == "node-1");
        server.Requests.Last().Headers.IfNoneMatch.ToString().ShouldBe("W/\"abc\"");
    }

    [Fact]
    public async Task A_problem_becomes_an_exception_with_its_code_places_and_delay()
    {
        await using var server = await FakeServer.StartAsync(context =>
        {
            context.Response.Headers.RetryAfter = "3";
            return FakeServer.Json(context, """{"code":"invalid-config","detail":"no","errors":[{"file":"a.yml","line":3,"key":"k","message":"bad"}]}""", 422);
        });
        using var client = New(server);
        var e = await Should.ThrowAsync<LockstepException>(() => client.GetConfigAsync("a", "b"));
        (e.Code, e.Message, e.RetryAfter).ShouldBe((ErrorCode.InvalidConfig, "no", TimeSpan.FromSeconds(3)));
        e.Errors.Single().ToString().ShouldBe("a.yml:3: k: bad");
    }

    [Fact]
    public async Task An_answer_that_is_none_of_Lockstep_is_told_by_its_status_or_as_not_understood()
    {
        await using var gateway = await FakeServer.StartAsync(context =>
        {
            context.Response.StatusCode = 502;
            return context.Response.WriteAsync("<html>");
        });
        using var client = New(gateway);
        var e = await Should.ThrowAsync<LockstepException>(() => client.WhoAmIAsync());
        e.Code.ShouldBe(ErrorCode.Internal);
        e.Message.ShouldContain("502");

        await using var page = await FakeServer.StartAsync("<html>");
        using var other = New(page);
        (await Should.ThrowAsync<LockstepException>(() => other.WhoAmIAsync())).Code.ShouldBe(ErrorCode.Unavailable);
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_unavailable_with_its_address_and_the_way_out()
    {
        var server = await FakeServer.StartAsync("{}");
        var address = server.Address;
        await server.DisposeAsync();
        using var client = New(address);
        var e = await Should.ThrowAsync<LockstepException>(() => client.WhoAmIAsync());
        e.Code.ShouldBe(ErrorCode.Unavailable);
        e.Message.ShouldContain(address.ToString());
        e.Message.ShouldContain("lockstep serve");
        e.ToString().ShouldNotContain(Token);
    }

    [Fact]
    public async Task A_server_that_does_not_answer_is_unavailable_and_the_callers_own_cancellation_is_not()
    {
        await using var server = await FakeServer.StartAsync(context => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted));
        using var hasty = new LockstepClient(new LockstepClientOptions { Address = server.Address, Timeout = TimeSpan.FromMilliseconds(100) });
        (await Should.ThrowAsync<LockstepException>(() => hasty.WhoAmIAsync())).Code.ShouldBe(ErrorCode.Unavailable);
        using var client = New(server);
        using var cancelled = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await Should.ThrowAsync<OperationCanceledException>(() => client.WhoAmIAsync(cancelled.Token));
    }

    [Fact]
    public async Task A_redirect_is_an_error_and_the_token_stays_here()
    {
        await using var elsewhere = await FakeServer.StartAsync("{}");
        await using var server = await FakeServer.StartAsync(context =>
        {
            context.Response.Redirect(new Uri(elsewhere.Address, "/v1/whoami").ToString());
            return Task.CompletedTask;
        });
        using var client = New(server);
        (await Should.ThrowAsync<LockstepException>(() => client.WhoAmIAsync())).Message.ShouldContain(elsewhere.Address.Authority);
        elsewhere.Requests.ShouldBeEmpty();
    }

    [Fact]
    public async Task An_answer_without_end_is_cut_off()
    {
        await using var server = await FakeServer.StartAsync(async context =>
        {
            var block = new byte[1024 * 1024];
            while (!context.RequestAborted.IsCancellationRequested) await context.Response.Body.WriteAsync(block, context.RequestAborted);
        });
        using var client = New(server);
        (await Should.ThrowAsync<LockstepException>(() => client.WhoAmIAsync())).Code.ShouldBe(ErrorCode.Unavailable);
    }

    [Theory]
    [InlineData("http://config.example.com:7400", true)]
    [InlineData("http://127.0.0.1:7400", false)]
    [InlineData("http://[::1]:7400", false)]
    [InlineData("https://config.example.com", false)]
    [InlineData("ftp://config.example.com", true)]
    [InlineData("https://user:pass@config.example.com", true)]
    public void A_token_never_goes_over_plain_http_to_another_machine(string address, bool refused)
    {
        if (refused) Should.Throw<LockstepException>(() => New(new Uri(address))).Message.ShouldNotContain("pass@");
        else New(new Uri(address)).Dispose();
    }

    [Fact]
    public async Task A_token_that_is_none_is_refused_without_being_quoted()
    {
        await using var server = await FakeServer.StartAsync("{}");
        using var client = new LockstepClient(new LockstepClientOptions { Address = server.Address, Token = _ => ValueTask.FromResult<string?>("hunter2\r\nX: y") });
        var e = await Should.ThrowAsync<LockstepException>(() => client.WhoAmIAsync());
        e.Code.ShouldBe(ErrorCode.Unauthenticated);
        e.ToString().ShouldNotContain("hunter2");
        server.Requests.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_value_crosses_the_wire_sealed_and_is_opened_here()
    {
        await using var server = await FakeServer.StartAsync(context => Sealed(context, """{"id":"payments/db","version":3,"value":"hunter2"}"""));
        using var client = New(server);
        var secret = await client.RevealSecretAsync("payments/db");
        (secret.Version, secret.Value).ShouldBe((3, "hunter2"));
        await client.RevealSecretAsync("payments/db");
        server.Requests.Select(r => r.Headers["Lockstep-Seal-To"].ToString()).Distinct(StringComparer.Ordinal).Count().ShouldBe(2, "a key is for one call");
    }

    [Fact]
    public async Task A_sealed_value_of_another_secret_or_altered_does_not_open()
    {
        await using var server = await FakeServer.StartAsync(context => Sealed(context, """{"id":"payments/other","version":3,"value":"hunter2"}"""));
        using var client = New(server);
        (await Should.ThrowAsync<LockstepException>(() => client.RevealSecretAsync("payments/db"))).ToString().ShouldNotContain("hunter2");
        await using var garbled = await FakeServer.StartAsync("""{"id":"payments/db","value":"a.b.c"}""");
        using var other = New(garbled);
        (await Should.ThrowAsync<LockstepException>(() => other.RevealSecretAsync("payments/db"))).Code.ShouldBe(ErrorCode.Unavailable);
        await using var withheld = await FakeServer.StartAsync("""{"id":"payments/db","value":null}""");
        using var third = New(withheld);
        (await Should.ThrowAsync<LockstepException>(() => third.RevealSecretAsync("payments/db"))).Code.ShouldBe(ErrorCode.Forbidden);
    }

    [Fact]
    public async Task Every_write_has_its_documented_method_target_and_body()
    {
        await using var server = await FakeServer.StartAsync("""{"id":"a","version":1,"release":2,"name":"n","token":"t","expiresAt":null}""");
        using var client = New(server);
        var value = JsonSerializer.SerializeToElement("v");
        await client.CreateSecretAsync("a/b", value);
        await client.PutSecretAsync("a/b", new SecretPut { Value = value, Cas = 0 }, activate: false);
        await client.ActivateSecretAsync("a/b", 3, force: true);
        await client.DeleteSecretAsync("a/b", purge: true);
        await client.RestoreSecretAsync("a/b");
        await client.RollbackAsync("s", "e", 7);
        await client.UnpinAsync("s", "e");
        await client.RefreshAsync();
        await client.CreateTokenAsync(new TokenCreate { Name = "n", Role = "reader", ExpiresIn = TimeSpan.FromMinutes(90) });
        await client.RollTokenAsync("n", TimeSpan.FromMinutes(10));
        await client.RevokeTokenAsync("n");
        server.Requests.Select(r => $"{r} {r.Body}".TrimEnd()).ShouldBe([
            """POST /v1/secrets {"id":"a/b","value":"v"}""",
            """PUT /v1/secrets/a/b?activate=false {"value":"v","cas":0}""",
            """POST /v1/secret-activations/a/b?force=true {"version":3}""",
            "DELETE /v1/secrets/a/b?purge=true",
            "POST /v1/secret-restores/a/b",
            """POST /v1/config/s/e/rollback {"to":7}""",
            "DELETE /v1/config/s/e/pin",
            "POST /v1/refresh",
            """POST /v1/tokens {"name":"n","role":"reader","expiresIn":"90m"}""",
            "POST /v1/tokens/n/roll?grace=10m",
            "DELETE /v1/tokens/n",
        ]);
    }

    private static Task Sealed(HttpContext context, string plaintext)
    {
        var key = Jwe.ParsePublicKey(context.Request.Headers["Lockstep-Seal-To"].ToString());
        return FakeServer.Json(context, $$"""{"id":"payments/db","value":"{{Jwe.Seal(key, Encoding.UTF8.GetBytes(plaintext))}}"}""");
    }

    private static LockstepClient New(FakeServer server, string? instance = null) => New(server.Address, instance);

    private static LockstepClient New(Uri address, string? instance = null) =>
        new(new LockstepClientOptions { Address = address, Token = _ => ValueTask.FromResult<string?>(Token), Instance = instance });
}
