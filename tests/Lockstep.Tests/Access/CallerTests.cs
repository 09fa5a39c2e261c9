using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Secrets;
using Lockstep.Settings;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Access;

public sealed class CallerTests
{
    [Theory]
    [InlineData("admin", "config:read config:write secret:read secret:reveal secret:write token:write audit:read admin")]
    [InlineData("writer", "config:read config:write secret:read secret:write")]
    [InlineData("reader", "config:read secret:reveal")]
    [InlineData("viewer", "config:read")]
    public void Built_in_roles_have_their_permissions_everywhere(string role, string expected)
    {
        var caller = Holding(RoleSet.BuiltIn.Find(role)!, TokenLimits.None);
        foreach (var name in PermissionNames.All)
        {
            PermissionNames.TryParse(name, out var permission).ShouldBeTrue();
            permission.Name().ShouldBe(name);
            var has = expected.Split(' ').Contains(name);
            foreach (var subject in new[] { Subject.Nothing, Subject.Of("payments", "production"), Secret("a/b"), Subject.OfPath("a/b.yml") })
            {
                caller.Can(permission, subject).ShouldBe(has, $"{role} {name} {subject}");
                caller.Explain(permission, subject).Allowed.ShouldBe(has);
            }
        }
    }

    [Fact]
    public void A_role_is_limited_to_its_globs()
    {
        var caller = Holding(Role(new()
        {
            Name = "payments",
            Permissions = ["config:read", "secret:reveal"],
            Services = ["pay*"],
            Environments = ["production"],
            Secrets = ["payments/**"],
        }));
        caller.Can(Permission.ConfigRead, Subject.Of("payments", "production")).ShouldBeTrue();
        caller.Can(Permission.ConfigRead, Subject.Of("payments", "staging")).ShouldBeFalse();
        caller.Can(Permission.ConfigRead, Subject.Of("orders", "production")).ShouldBeFalse();
        caller.Can(Permission.SecretReveal, Secret("payments/db")).ShouldBeTrue();
        caller.Can(Permission.SecretReveal, Secret("orders/db")).ShouldBeFalse();
        caller.Can(Permission.ConfigRead, Subject.OfPath("application.yml")).ShouldBeFalse("one file can shape every document");
        caller.Can(Permission.ConfigWrite, Subject.Of("payments", "production")).ShouldBeFalse();
        caller.Explain(Permission.ConfigRead, Subject.Of("payments", "staging")).Reason.ShouldContain("environments of the role 'payments'");
    }

    [Fact]
    public void A_single_star_over_secrets_does_not_reach_below_a_segment()
    {
        var caller = Holding(Role(new() { Name = "top", Permissions = ["secret:read"], Secrets = ["*"] }));
        caller.Can(Permission.SecretRead, Secret("db")).ShouldBeTrue();
        caller.Can(Permission.SecretRead, Secret("payments/db")).ShouldBeFalse();
    }

    [Fact]
    public void A_token_narrows_its_role_and_never_widens_it()
    {
        var role = Role(new() { Name = "payments", Permissions = ["config:read", "secret:reveal"], Services = ["payments", "orders"] });
        var caller = Holding(role, new() { Services = GlobSet.Of("payments", "billing"), Secrets = GlobSet.Of("a/*") });
        caller.Can(Permission.ConfigRead, Subject.Of("payments", "dev")).ShouldBeTrue();
        caller.Can(Permission.ConfigRead, Subject.Of("orders", "dev")).ShouldBeFalse();
        caller.Can(Permission.ConfigRead, Subject.Of("billing", "dev")).ShouldBeFalse();
        caller.Can(Permission.SecretReveal, Secret("a/b")).ShouldBeTrue();
        caller.Can(Permission.SecretReveal, Secret("b/b")).ShouldBeFalse();
        caller.Explain(Permission.ConfigRead, Subject.Of("orders", "dev")).Reason.ShouldContain("the token is limited to");
    }

    [Fact]
    public void An_admin_token_with_limits_is_admin_within_them_only()
    {
        var caller = Holding(RoleSet.BuiltIn.Find("admin")!, new() { Services = GlobSet.Of("payments") });
        caller.Can(Permission.ConfigWrite, Subject.Of("payments", "dev")).ShouldBeTrue();
        caller.Can(Permission.ConfigWrite, Subject.Of("orders", "dev")).ShouldBeFalse();
        caller.Can(Permission.Admin, Subject.Nothing).ShouldBeFalse();
        caller.Can(Permission.ConfigWrite, Subject.OfPath("application.yml")).ShouldBeFalse();
        caller.Explain(Permission.Admin, Subject.Nothing).Allowed.ShouldBeFalse();
    }

    [Fact]
    public void Explain_agrees_with_can()
    {
        var random = new Random(4);
        string[] globs = ["*", "a", "a*", "b", "**", "a/**", "?"];
        GlobSet Set() => GlobSet.Of([.. Enumerable.Range(0, random.Next(3)).Select(_ => globs[random.Next(globs.Length)])]);
        for (var i = 0; i < 3000; i++)
        {
            var role = new Role
            {
                Name = "r", Permissions = [(Permission)random.Next(8)], Services = Set(), Environments = Set(), Secrets = Set(), Paths = Set(),
            };
            var caller = Holding(role, new() { Services = random.Next(2) == 0 ? null : Set(), Secrets = random.Next(2) == 0 ? null : Set() });
            foreach (var subject in new[] { Subject.Nothing, Subject.Of("a", "b"), Secret("a/b"), Subject.OfPath("a") })
                for (var p = Permission.ConfigRead; p <= Permission.Admin; p++)
                    caller.Explain(p, subject).Allowed.ShouldBe(caller.Can(p, subject));
        }
    }

    [Fact]
    public void Nobody_grants_more_than_they_hold()
    {
        var lead = Holding(Role(new()
        {
            Name = "lead", Permissions = ["token:write", "config:read", "secret:reveal"], Services = ["payments*"], Secrets = ["payments/**"], Cidrs = ["10.0.0.0/8"],
        }));
        var inside = System.Net.IPNetwork.Parse("10.1.0.0/16");
        TokenLimits Limits(string? services, string? secrets, bool cidr = true) => new()
        {
            Services = services is null ? null : GlobSet.Of(services), Secrets = secrets is null ? null : GlobSet.Of(secrets), Cidrs = cidr ? [inside] : [],
        };
        var reader = RoleSet.BuiltIn.Find("reader")!;
        Should.NotThrow(() => lead.EnsureCovers("t", new Grant(reader, Limits("payments-api", "payments/db"))));
        Refused(reader, Limits(null, "payments/db"), "services go beyond yours");
        Refused(reader, Limits("payments", "orders/db"), "secrets go beyond yours");
        Refused(reader, Limits("payments", "**"), "secrets go beyond yours");
        Refused(reader, Limits("payments", "payments/db", cidr: false), "cidrs go beyond yours");
        Refused(RoleSet.BuiltIn.Find("writer")!, Limits("payments", "payments/db"), "config:write is not yours to give");
        Refused(RoleSet.BuiltIn.Find("admin")!, Limits("payments", "payments/db"), "not yours to give");

        void Refused(Role role, TokenLimits limits, string why) =>
            Should.Throw<LockstepException>(() => lead.EnsureCovers("t", new Grant(role, limits))).ShouldSatisfyAllConditions(
                e => e.Code.ShouldBe(ErrorCode.Forbidden), e => e.Message.ShouldContain(why));
    }

    [Fact]
    public void What_is_covered_is_never_more()
    {
        var random = new Random(5);
        string[] globs = ["*", "a", "a*", "b", "**", "a/**", "?", "a/*", "ab"];
        GlobSet Set() => GlobSet.Of([.. Enumerable.Range(0, 1 + random.Next(2)).Select(_ => globs[random.Next(globs.Length)])]);
        Grant Draw() => new(new Role
        {
            Name = "r", Permissions = [.. Enumerable.Range(0, 1 + random.Next(3)).Select(_ => (Permission)random.Next(8))],
            Services = Set(), Environments = Set(), Secrets = Set(), Paths = Set(),
        }, new() { Services = random.Next(2) == 0 ? null : Set(), Environments = random.Next(3) == 0 ? Set() : null, Secrets = random.Next(2) == 0 ? null : Set() });
        Subject[] subjects =
        [
            .. new[] { "a", "b", "ab", "abc" }.SelectMany(s => new[] { Subject.Of(s, "a"), Subject.Of(s, "bb"), Secret(s), Secret("a/" + s), Subject.OfPath(s), Subject.OfPath("a/" + s) }),
        ];
        var covered = 0;
        for (var i = 0; i < 20_000; i++)
        {
            var (holder, wanted) = (Draw(), Draw());
            if (holder.MissingFor(wanted) is not null) continue;
            covered++;
            foreach (var subject in subjects)
                for (var p = Permission.ConfigRead; p <= Permission.Admin; p++)
                    if (IsAbout(p, subject) && wanted.Allows(p, subject)) holder.Allows(p, subject).ShouldBeTrue($"{p} {subject}");
        }
        covered.ShouldBeGreaterThan(100);

        // Secrets are asked of secret permissions, services and files of config permissions.
        static bool IsAbout(Permission p, Subject s) => s.Secret is not null
            ? p is Permission.SecretRead or Permission.SecretReveal or Permission.SecretWrite
            : p is Permission.ConfigRead or Permission.ConfigWrite;
    }

    [Fact]
    public void Roles_of_the_settings_are_checked_and_every_mistake_is_named()
    {
        var error = Should.Throw<LockstepException>(() => RoleSet.From(
        [
            new() { Name = "admin", Permissions = ["config:read"] },
            new() { Name = "a", Permissions = ["config:raed"], File = "server.yaml", Line = 7 },
            new() { Name = "b", Permissions = ["admin"], Cidrs = ["10.0.0.1/8"], Services = [""] },
            new() { Name = "c" },
        ]));
        error.Code.ShouldBe(ErrorCode.InvalidConfig);
        error.Errors.Select(e => e.Key).ShouldBe(["access.roles.admin", "access.roles.a.permissions", "access.roles.b.services", "access.roles.b.cidrs", "access.roles.c.permissions"]);
        error.Errors[1].ToString().ShouldStartWith("server.yaml:7: access.roles.a.permissions: there is no permission 'config:raed'");
    }

    [Fact]
    public void Files_are_open_only_to_roles_that_are_not_limited_or_name_them()
    {
        Holding(Role(new() { Name = "a", Permissions = ["config:read"] })).Can(Permission.ConfigRead, Subject.OfPath("x/y.yml")).ShouldBeTrue();
        Holding(Role(new() { Name = "a", Permissions = ["config:read"], Environments = ["dev"] })).Can(Permission.ConfigRead, Subject.OfPath("y.yml")).ShouldBeFalse();
        Holding(Role(new() { Name = "a", Permissions = ["config:read"], Paths = [] })).Can(Permission.ConfigRead, Subject.OfPath("y.yml")).ShouldBeFalse();
        Holding(Role(new() { Name = "a", Permissions = ["config:read"], Services = ["p"], Paths = ["p/**"] })).Can(Permission.ConfigRead, Subject.OfPath("p/y.yml")).ShouldBeTrue();
    }

    [Fact]
    public void The_server_itself_may_do_everything()
    {
        Caller.System("git").Can(Permission.Admin, Subject.Nothing).ShouldBeTrue();
        Caller.System("git").TokenId.ShouldBe("system:git");
    }

    private static Role Role(RoleOptions options) => RoleSet.From([options]).Find(options.Name)!;

    private static Caller Holding(Role role, TokenLimits? limits = null) =>
        new() { TokenId = "id", Name = "lead", Grant = new Grant(role, limits ?? TokenLimits.None) };

    private static Subject Secret(string id) => SecretId.TryParse(id, out var parsed) ? Subject.Of(parsed) : throw new ArgumentException("Not an id.", nameof(id));
}
