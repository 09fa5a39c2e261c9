using System.Net;
using Lockstep.Access;
using Lockstep.Secrets;
using Lockstep.Settings;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Access;

public sealed class GrantTests
{
    private static readonly IPAddress s_inside = IPAddress.Parse("10.1.2.3");
    private static readonly IPAddress s_outside = IPAddress.Parse("192.0.2.1");

    private static readonly Role s_payments = Role(new() { Name = "payments", Permissions = ["config:read", "secret:reveal"], Services = ["payments"], Secrets = ["payments/**"], Cidrs = ["10.0.0.0/8"] });
    private static readonly Role s_orders = Role(new() { Name = "orders", Permissions = ["config:read", "config:write"], Services = ["orders"], Environments = ["dev"] });

    [Fact]
    public void Of_several_roles_each_adds_what_it_permits_and_none_lends_its_limits_to_another()
    {
        var both = new Grant([Held(s_payments), Held(s_orders)]);
        both.Allows(Permission.ConfigRead, Subject.Of("payments", "prod")).ShouldBeTrue();
        both.Allows(Permission.ConfigWrite, Subject.Of("orders", "dev")).ShouldBeTrue();
        both.Allows(Permission.ConfigRead, Subject.Of("orders", "prod")).ShouldBeFalse();
        both.Allows(Permission.ConfigWrite, Subject.Of("payments", "dev")).ShouldBeFalse("it writes by the other role");
        both.Allows(Permission.SecretReveal, Secret("payments/db")).ShouldBeTrue();
        both.Allows(Permission.SecretReveal, Secret("orders/db")).ShouldBeFalse();
        both.ReachesEverything(Permission.ConfigRead).ShouldBeFalse();
        both.ReachesEveryFile(Permission.ConfigRead).ShouldBeFalse();
        new Grant([Held(s_payments), Held(Admin)]).ReachesEverything(Permission.AuditRead).ShouldBeTrue();
    }

    [Fact]
    public void Files_are_reached_by_a_role_that_has_the_permission_and_not_by_another_beside_it()
    {
        var auditor = Role(new() { Name = "auditor", Permissions = ["audit:read"] });
        var viewer = Role(new() { Name = "views", Permissions = ["config:read"] });
        var all = new Grant([Held(viewer)]);
        all.ReachesEveryFile(Permission.ConfigRead).ShouldBeTrue();
        all.ReachesEveryFile(Permission.ConfigWrite).ShouldBeFalse();
        new Grant([Held(auditor), Held(s_orders)]).ReachesEveryFile(Permission.ConfigRead).ShouldBeFalse();
        new Grant([Held(viewer), Held(s_orders)]).ReachesEveryFile(Permission.ConfigWrite).ShouldBeFalse();
        new Grant(Admin, TokenLimits.None, new Grant([Held(auditor), Held(s_orders)])).ReachesEveryFile(Permission.ConfigRead).ShouldBeFalse("nor does its parent");
        new Grant(Admin, TokenLimits.None, all).ReachesEveryFile(Permission.ConfigRead).ShouldBeTrue();
    }

    [Fact]
    public void Explain_names_the_role_and_the_rule_that_decides_or_why_each_does_not()
    {
        var both = new Grant([Held(s_payments, "access.issuers[0].roles[0] (groups: pay)"), Held(s_orders, "access.issuers[0].roles[1] (groups: ord)")]);
        var allowed = both.Explain(Permission.ConfigWrite, Subject.Of("orders", "dev"));
        (allowed.Allowed, allowed.Reason).ShouldBe((true, "the role 'orders' has config:write and reaches orders/dev; access.issuers[0].roles[1] (groups: ord) gives that role"));
        var refused = both.Explain(Permission.ConfigRead, Subject.Of("orders", "prod"));
        refused.Allowed.ShouldBeFalse();
        refused.Reason.ShouldBe("'orders' is not among the services of the role 'payments' (payments); 'prod' is not among the environments of the role 'orders' (dev)");
        new Grant([]).Explain(Permission.ConfigRead, Subject.Nothing).ShouldSatisfyAllConditions(d => d.Allowed.ShouldBeFalse(), d => d.Reason.ShouldContain("no role"));
    }

    [Fact]
    public void Networks_of_one_role_take_away_that_role_alone()
    {
        var both = new Grant([Held(s_payments), Held(s_orders)]);
        both.From(s_inside).ShouldBe(both);
        var outside = both.From(s_outside)!;
        outside.Whole.ShouldBe(both);
        outside.Allows(Permission.SecretReveal, Secret("payments/db")).ShouldBeFalse();
        outside.Allows(Permission.ConfigRead, Subject.Of("orders", "dev")).ShouldBeTrue();
        new Grant([Held(s_payments)]).From(s_outside).ShouldBeNull();
        new Grant([Held(s_payments)]).From(null).ShouldBeNull();
        var free = new Grant([Held(s_orders)]);
        free.From(s_outside).ShouldBe(free);
    }

    [Fact]
    public void Within_another_it_permits_what_both_do_from_where_both_hold()
    {
        var parent = new Grant([Held(s_payments), Held(s_orders)]);
        var derived = new Grant(Admin, TokenLimits.None, parent);
        derived.Allows(Permission.ConfigWrite, Subject.Of("orders", "dev")).ShouldBeTrue();
        derived.Allows(Permission.ConfigWrite, Subject.Of("payments", "dev")).ShouldBeFalse();
        derived.Allows(Permission.Admin, Subject.Nothing).ShouldBeFalse();
        derived.ReachesEverything(Permission.Admin).ShouldBeFalse();
        derived.ReachesEveryFile(Permission.ConfigRead).ShouldBeFalse();
        derived.Explain(Permission.ConfigWrite, Subject.Of("payments", "dev")).Reason.ShouldStartWith("of the token it derives from: ");
        var outside = derived.From(s_outside)!;
        outside.Allows(Permission.ConfigRead, Subject.Of("payments", "dev")).ShouldBeFalse();
        outside.Allows(Permission.ConfigRead, Subject.Of("orders", "dev")).ShouldBeTrue();
        new Grant(Admin, TokenLimits.None, new Grant([Held(s_payments)])).From(s_outside).ShouldBeNull("its parent would not hold from there");
    }

    [Fact]
    public void A_role_is_covered_by_one_role_and_not_by_pieces_of_several()
    {
        var reads = Role(new() { Name = "reads", Permissions = ["config:read"] });
        var writes = Role(new() { Name = "writes", Permissions = ["config:write"] });
        var both = new Grant([Held(reads), Held(writes)]);
        both.MissingFor(new Grant([Held(writes), Held(reads)])).ShouldBeNull();
        both.MissingFor(new Grant([Held(Role(new() { Name = "x", Permissions = ["config:read", "config:write"] }))])).ShouldNotBeNull();
        both.MissingFor(new Grant([Held(reads), Held(Role(new() { Name = "x", Permissions = ["secret:read"] }))])).ShouldNotBeNull();
        new Grant([]).MissingFor(new Grant([Held(reads)])).ShouldNotBeNull();
        new Grant(Admin, TokenLimits.None, new Grant([Held(reads)])).MissingFor(new Grant([Held(writes)])).ShouldNotBeNull("who derives from less gives less");
    }

    [Fact]
    public void A_role_that_does_not_exist_is_covered_by_nobody_but_who_may_do_everything()
    {
        var gone = new Grant([Held(Lockstep.Access.Role.Missing("gone"))]);
        gone.Allows(Permission.ConfigRead, Subject.Nothing).ShouldBeFalse();
        new Grant([Held(Admin)]).MissingFor(gone).ShouldBeNull();
        new Grant(Admin, new() { Services = GlobSet.Of("a") }).MissingFor(gone).ShouldNotBeNull().ShouldContain("'gone' does not exist");
        new Grant([Held(Role(new() { Name = "x", Permissions = ["token:write", "config:read"] }))]).MissingFor(gone).ShouldNotBeNull();
    }

    [Theory]
    [InlineData("audit:read")]
    [InlineData("token:write")]
    public void What_is_about_everything_is_not_given_by_who_is_limited(string permission)
    {
        var all = new Grant([Held(Role(new() { Name = "x", Permissions = [permission] }))]);
        foreach (var limits in new TokenLimits[] { new() { Services = GlobSet.Of("a") }, new() { Environments = GlobSet.Of("a") }, new() { Secrets = GlobSet.Of("a/**") } })
        {
            var limited = new Grant(Admin, limits);
            limited.MissingFor(all).ShouldNotBeNull();
            limited.MissingFor(new Grant(all.Roles[0].Role, limits)).ShouldBeNull();
        }
        new Grant([Held(Admin)]).MissingFor(all).ShouldBeNull();
    }

    [Fact]
    public void Explain_agrees_with_allows_for_any_roles_within_any()
    {
        var random = new Random(7);
        string[] globs = ["*", "a", "a*", "b", "**", "a/**"];
        GlobSet Set() => GlobSet.Of([.. Enumerable.Range(0, random.Next(3)).Select(_ => globs[random.Next(globs.Length)])]);
        RoleGrant Draw() => new(
            new Role { Name = "r", Permissions = [(Permission)random.Next(8), (Permission)random.Next(7)], Services = Set(), Environments = Set(), Secrets = Set(), Paths = Set() },
            new() { Services = random.Next(2) == 0 ? null : Set(), Secrets = random.Next(2) == 0 ? null : Set() });
        Grant Several(Grant? within) => new([.. Enumerable.Range(0, random.Next(4)).Select(_ => Draw())], within);
        var allowed = 0;
        for (var i = 0; i < 3000; i++)
        {
            var parent = Several(null);
            var grant = random.Next(2) == 0 ? parent : Several(parent);
            foreach (var subject in new[] { Subject.Nothing, Subject.Of("a", "b"), Secret("a/b"), Subject.OfPath("a") })
            {
                for (var p = Permission.ConfigRead; p <= Permission.Admin; p++)
                {
                    var allows = grant.Allows(p, subject);
                    grant.Explain(p, subject).Allowed.ShouldBe(allows);
                    if (!allows) continue;
                    allowed++;
                    parent.Allows(p, subject).ShouldBeTrue("nothing that its parent may not");
                    grant.Roles.Any(r => r.Allows(p, subject)).ShouldBeTrue();
                }
            }
        }
        allowed.ShouldBeGreaterThan(1000);
    }

    private static Role Admin => RoleSet.BuiltIn.Find("admin")!;

    private static Role Role(RoleOptions options) => RoleSet.From([options]).Find(options.Name)!;

    private static RoleGrant Held(Role role, string? rule = null) => new(role, TokenLimits.None) { Rule = rule };

    private static Subject Secret(string id) => SecretId.TryParse(id, out var parsed) ? Subject.Of(parsed) : throw new ArgumentException("Not an id.", nameof(id));
}
