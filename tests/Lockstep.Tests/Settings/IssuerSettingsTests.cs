using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Settings;

public sealed class IssuerSettingsTests : IDisposable
{
    private static readonly Dictionary<string, string> s_nothing = new(StringComparer.Ordinal);
    private readonly TempDirectory _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Everything_is_read_and_what_is_left_out_has_its_default()
    {
        var issuers = Load(
            """
            access:
              issuers:
                - issuer: https://token.actions.githubusercontent.com
                  audience: lockstep
                  roles: [ { claim: sub, value: "repo:octo-org/octo-repo:environment:prod", role: reader } ]
                - issuer: http://127.0.0.1:8080/realms/main
                  audience: [lockstep, cli]
                  jwksUri: https://10.0.0.1:6443/openid/v1/jwks
                  caFile: ca.pem
                  tokenFile: /run/token
                  algorithms: [ES256]
                  maxAge: 1h
                  login: { clientId: cli, scopes: [openid, email] }
            """).Issuers;
        issuers.Count.ShouldBe(2);
        issuers[0].Audiences.ShouldBe(["lockstep"]);
        issuers[0].Roles.ShouldBe([new IssuerRoleOptions("sub", "repo:octo-org/octo-repo:environment:prod", "reader")]);
        (issuers[0].MaxAge, issuers[0].JwksUri, issuers[0].CaFile, issuers[0].Login).ShouldBe((TimeSpan.FromHours(24), null, null, null));
        issuers[0].Algorithms.ShouldBe(["RS256", "PS256", "ES256", "ES384"]);
        (issuers[1].Where, issuers[1].CaFile, issuers[1].TokenFile, issuers[1].MaxAge).ShouldBe(("access.issuers[1]", _folder.File("ca.pem"), "/run/token", TimeSpan.FromHours(1)));
        issuers[1].Login!.Scopes.ShouldBe(["openid", "email"]);
        Load("access: { issuers: [ { issuer: 'https://a', audience: c, login: { clientId: c } } ] }").Issuers[0].Login!.Scopes.ShouldBe(["openid"]);
        Load("").Issuers.ShouldBeEmpty();
    }

    [Fact]
    public void They_are_printed()
    {
        var printed = Load("access: { issuers: [ { issuer: 'https://a.example.com', audience: lockstep, tokenFile: /run/t, roles: [ { claim: sub, value: x, role: viewer } ] } ] }").ToString();
        printed.ShouldContain("issuers: [{ issuer: https://a.example.com, audience: [lockstep]");
        printed.ShouldContain("maxAge: 24h");
        printed.ShouldContain("tokenFile: /run/t");
        printed.ShouldContain("roles: [{ claim: sub, value: x, role: viewer }]");
    }

    [Theory]
    [InlineData("issuer: 'http://login.example.com', audience: a", "issuer", "https")]
    [InlineData("issuer: 'https://login.example.com?x=1', audience: a", "issuer", "https")]
    [InlineData("issuer: 'https://u:hunter2@login.example.com', audience: a", "issuer", "https")]
    [InlineData("issuer: login.example.com, audience: a", "issuer", "https")]
    [InlineData("audience: a", "issuer", "https")]
    [InlineData("issuer: 'https://a'", "audience", "for whom")]
    [InlineData("issuer: 'https://a', audience: []", "audience", "for whom")]
    [InlineData("issuer: 'https://a', audience: ['']", "audience", "1 to 255")]
    [InlineData("issuer: 'https://a', audience: {}", "audience", "must be a list")]
    [InlineData("issuer: 'https://a', audience: a, jwksUri: 'http://10.0.0.1/'", "jwksUri", "https")]
    [InlineData("issuer: 'https://a', audience: a, algorithms: [HS256]", "algorithms", "RS256")]
    [InlineData("issuer: 'https://a', audience: a, algorithms: [none]", "algorithms", "RS256")]
    [InlineData("issuer: 'https://a', audience: a, algorithms: []", "algorithms", "RS256")]
    [InlineData("issuer: 'https://a', audience: a, maxAge: 1s", "maxAge", "from 1m")]
    [InlineData("issuer: 'https://a', audience: a, roles: [ { claim: sub, role: viewer } ]", "roles[0].value", "1 to 255")]
    [InlineData("issuer: 'https://a', audience: a, roles: [ { claim: '', value: x, role: viewer } ]", "roles[0].claim", "1 to 255")]
    [InlineData("issuer: 'https://a', audience: a, roles: [ { claim: sub, value: x, role: viewer, secrets: x } ]", "roles[0].secrets", "not a setting")]
    [InlineData("issuer: 'https://a', audience: a, roles: { claim: sub }", "roles", "list of mappings")]
    [InlineData("issuer: 'https://a', audience: a, login: { clientId: c }", "login.clientId", "audience too")]
    [InlineData("issuer: 'https://a', audience: a, login: {}", "login.clientId", "1 to 255")]
    [InlineData("issuer: 'https://a', audience: a, login: { clientId: a, scopes: [email] }", "login.scopes", "openid")]
    [InlineData("issuer: 'https://a', audience: a, secret: hunter2", "secret", "not a setting")]
    public void A_mistake_is_told_where_it_stands(string issuer, string key, string message)
    {
        var e = Should.Throw<LockstepException>(() => Load($"access:\n  issuers:\n    - {{ {issuer} }}\n"));
        e.Errors.ShouldContain(x => x.ToString().Contains($"access.issuers[0].{key}", StringComparison.Ordinal) && x.ToString().Contains(message, StringComparison.Ordinal), string.Join('\n', e.Errors));
        e.Errors.ShouldAllBe(x => !x.ToString().Contains("hunter2", StringComparison.Ordinal));
    }

    [Fact]
    public void One_issuer_is_listed_once()
    {
        var e = Should.Throw<LockstepException>(() => Load("access: { issuers: [ { issuer: 'https://a', audience: x }, { issuer: 'https://a', audience: y } ] }"));
        e.Errors.ShouldContain(x => x.ToString().Contains("listed twice", StringComparison.Ordinal));
    }

    private ServerOptions Load(string text)
    {
        var file = _folder.File("server.yaml");
        File.WriteAllText(file, text);
        return ServerOptionsLoader.Load(file, s_nothing, s_nothing).Options;
    }
}
