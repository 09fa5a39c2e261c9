using System.Text.Json;
using Lockstep.Access;
using Lockstep.Access.Jwt;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Access.Jwt;

public sealed class ClaimPathTests
{
    private const string Claims = """
        {"sub":"s","kubernetes.io":{"namespace":"pay","pod":{"name":"p-1"}},"https://acme.com/groups":["ops","dev"],"https://acme.com/info":{"team.name":"core"},
         "a.b":"exact","a":{"b":"nested","c":{"d":"deep"},"b.c":"dotted"},"x.y":{"q":1},"x":{"y.z":2,"y":{"z":3}},"admin":true,"not":false,"level":7,"part":1.5,"big":1e3,"none":null,
         "mixed":[1,"two",["three"],{"k":"v"}],"empty":[],"":"unnamed",".":"dot","t.":{"":"end"}}
        """;

    [Theory]
    [InlineData("sub", "\"s\"")]
    [InlineData("kubernetes.io.namespace", "\"pay\"")]
    [InlineData("kubernetes.io.pod.name", "\"p-1\"")]
    [InlineData("https://acme.com/groups", "[\"ops\",\"dev\"]")]
    [InlineData("https://acme.com/info.team.name", "\"core\"")]
    [InlineData("a.b", "\"exact\"")]
    [InlineData("a.c.d", "\"deep\"")]
    [InlineData("a.b.c", "\"dotted\"")]
    [InlineData("x.y.z", "2")]
    [InlineData("t..", "\"end\"")]
    [InlineData("t..x", null)]
    [InlineData(".", "\"dot\"")]
    [InlineData("kubernetes", null)]
    [InlineData("kubernetes.io.", null)]
    [InlineData("sub.s", null)]
    [InlineData("mixed.0", null)]
    [InlineData("SUB", null)]
    public void A_path_has_one_meaning(string path, string? expected)
    {
        using var document = JsonDocument.Parse(Claims);
        ClaimPath.TryFind(document.RootElement, path, out var found).ShouldBe(expected is not null);
        if (expected is not null) found.GetRawText().ShouldBe(expected);
    }

    [Theory]
    [InlineData("sub", "s", true)]
    [InlineData("sub", "S", false)]
    [InlineData("kubernetes.io.namespace", "p*", true)]
    [InlineData("kubernetes.io", "*", false)]
    [InlineData("https://acme.com/groups", "dev", true)]
    [InlineData("https://acme.com/groups", "d", false)]
    [InlineData("https://acme.com/groups", "ops,dev", false)]
    [InlineData("admin", "true", true)]
    [InlineData("admin", "True", false)]
    [InlineData("not", "false", true)]
    [InlineData("not", "true", false)]
    [InlineData("level", "7", true)]
    [InlineData("part", "1.5", false)]
    [InlineData("big", "1000", false)]
    [InlineData("big", "1e3", false)]
    [InlineData("none", "null", false)]
    [InlineData("none", "**", false)]
    [InlineData("mixed", "two", true)]
    [InlineData("mixed", "1", false)]
    [InlineData("mixed", "three", false)]
    [InlineData("empty", "**", false)]
    public void A_value_matches_as_a_text_or_as_one_of_a_list(string path, string value, bool expected)
    {
        using var document = JsonDocument.Parse(Claims);
        Glob.TryParse(value, out var glob).ShouldBeTrue();
        ClaimPath.TryFind(document.RootElement, path, out var found).ShouldBeTrue();
        ClaimPath.Matches(found, glob).ShouldBe(expected);
    }

    [Fact]
    public async Task One_line_grants_a_workflow_of_GitHub_and_no_other()
    {
        var line = new IssuerRoleOptions("sub", "repo:octo-org/octo-repo:environment:prod", "reader");
        (await RolesAsync(TokenShapes.GitHub(), line)).ShouldBe(["reader"]);
        (await RolesAsync(TokenShapes.GitHub(repository: "octo-org/other"), line)).ShouldBeEmpty();
        (await RolesAsync(TokenShapes.GitHub(repository: "octo-org/octo-repo:environment:prod/x"), line)).ShouldBeEmpty();
        (await RolesAsync(TokenShapes.GitHub(environment: "staging"), line)).ShouldBeEmpty();
        // A star stays within its segment, so that no repository stands for others.
        var any = new IssuerRoleOptions("repository", "octo-org/*", "viewer");
        (await RolesAsync(TokenShapes.GitHub(), any, line)).ShouldBe(["viewer", "reader"]);
        (await RolesAsync(TokenShapes.GitHub(repository: "evil/octo-org/octo-repo"), any)).ShouldBeEmpty();
    }

    [Fact]
    public async Task One_line_grants_a_service_account_of_Kubernetes_and_no_other()
    {
        var line = new IssuerRoleOptions("sub", "system:serviceaccount:payments:api", "reader");
        (await RolesAsync(TokenShapes.Kubernetes(), line)).ShouldBe(["reader"]);
        (await RolesAsync(TokenShapes.Kubernetes(account: "other"), line)).ShouldBeEmpty();
        (await RolesAsync(TokenShapes.Kubernetes(space: "default"), line)).ShouldBeEmpty();
        (await RolesAsync(TokenShapes.Kubernetes(), new IssuerRoleOptions("kubernetes.io.namespace", "payments", "viewer"))).ShouldBe(["viewer"]);
        (await RolesAsync(TokenShapes.Kubernetes(), new IssuerRoleOptions("kubernetes.io.serviceaccount.name", "a*", "viewer"))).ShouldBe(["viewer"]);
    }

    private static async Task<string[]> RolesAsync(IReadOnlyList<(string, object?)> shape, params IssuerRoleOptions[] lines)
    {
        var time = new ManualTime();
        await using var issuer = await TestIssuer.StartAsync();
        await using var issuers = new JwtIssuers([issuer.Options(lines)], time, NullLogger<JwtIssuers>.Instance);
        var (failure, identity) = await issuers.VerifyAsync(issuer.Token(time.GetUtcNow(), null, [.. shape]), default);
        failure.ShouldBe(JwtFailure.None);
        identity!.Rules.ShouldAllBe(r => r.Where.StartsWith("access.issuers[0].roles[", StringComparison.Ordinal));
        return [.. identity.Rules.Select(r => r.Role)];
    }
}
