using System.Text;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Http;

/// <summary>Answers that are still on their way when their token ends.</summary>
[Trait("speed", "medium")]
public sealed class SlowReaderTests
{
    private const int Keys = 100;

    [Theory]
    [InlineData("/v1/config/shop/dev")]
    [InlineData("/v1/config/shop/dev?format=properties")]
    [InlineData("/spring/shop/dev")]
    [InlineData("/spring/shop-dev.yml")]
    public async Task An_answer_with_secrets_that_is_read_slowly_is_cut_off_by_a_kill(string path)
    {
        using var repository = TestRepository.With(("shop.yml", new StringBuilder().AppendJoin('\n', Enumerable.Range(0, Keys).Select(i => $"k{i}: ${{secret:big}}")).ToString()));
        await using var server = await TestServer.StartAsync(repository);
        var value = new string('v', 60_000);
        (await server.PutAsync("big", value)).Ok();
        var mine = await server.AsAsync("reader", t => t with { Services = ["shop"] });
        var whole = (await mine.GetAsync(path)).Ok().Body.Length;
        whole.ShouldBeGreaterThan(Keys * value.Length);
        using var raw = await RawConnection.OpenAsync(server.Server.Address, receiveBuffer: 4096);
        (await raw.TrySendAsync($"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {mine.Token}\r\nConnection: close\r\n\r\n")).ShouldBeTrue();
        var begun = await raw.ReadUntilAsync(text => text.Contains("vvvv", StringComparison.Ordinal));
        begun.ShouldStartWith("HTTP/1.1 200 ");
        (await server.Admin.PostAsync("/v1/kill", new { services = new[] { "shop" } })).Ok();
        (begun.Length + (await raw.ReadToEndAsync()).Length).ShouldBeLessThan(whole);
    }
}
