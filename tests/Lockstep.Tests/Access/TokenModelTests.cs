using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Settings;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Access;

/// <summary>Random changes of tokens and roles beside a simple model of who lives and what it may do.</summary>
[Trait("speed", "medium")]
public sealed class TokenModelTests
{
    private static readonly string[] s_services = ["a", "b"];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public Task It_is_as_a_simple_model_says(int seed) => RunAsync(seed, 250);

    [Theory]
    [InlineData(21)]
    [InlineData(22)]
    [InlineData(23)]
    [InlineData(24)]
    [Trait("speed", "long")]
    public Task It_is_as_a_simple_model_says_at_length(int seed) => RunAsync(seed, 2000);

    private static async Task RunAsync(int seed, int operations)
    {
        await using var bench = await TokenBench.CreateAsync();
        var model = new Model(bench, new Random(seed));
        for (var n = 0; n < operations; n++)
        {
            var what = "";
            try
            {
                what = await model.StepAsync();
                await model.CheckAsync();
            }
            catch (Exception e) when (e is ShouldAssertException or LockstepException or InvalidOperationException)
            {
                throw new ShouldAssertException($"seed {seed}, operation {n} ({what}): {e.Message}", e);
            }
        }
        model.SeenAlive.ShouldBeGreaterThan(operations);
        model.SeenDead.ShouldBeGreaterThan(operations);
    }

    private sealed class Token(string name, string role, string? service, Token? parent, string? parentBearer)
    {
        public string Name => name;
        public string Role => role;
        public string? Service => service;
        public Token? Parent => parent;
        public string? ParentBearer => parentBearer;
        public string Bearer { get; set; } = "";
        public string? Previous { get; set; }
        public DateTimeOffset PreviousUntil { get; set; }
        public bool IsRevoked { get; set; }
        public DateTimeOffset? ExpiresAt { get; set; }
        public TimeSpan? RenewFor { get; init; }
        public DateTimeOffset RenewUntil { get; init; }

        public bool IsOver(DateTimeOffset now) => IsRevoked || ExpiresAt <= now;

        public bool Accepts(string bearer, DateTimeOffset now) =>
            !IsOver(now) && (Bearer == bearer || (Previous == bearer && PreviousUntil > now)) && (parent is null || parent.Accepts(parentBearer!, now));

        public int Depth => parent is null ? 0 : parent.Depth + 1;

        public bool Reaches(Dictionary<string, string[]> roles, string about) => (service ?? about) == about && (!roles.TryGetValue(role, out var own) || own.Contains(about));

        public bool May(Dictionary<string, string[]> roles, string about) =>
            roles.TryGetValue(role, out var own) && own.Contains(about) && (service ?? about) == about && parent?.May(roles, about) != false;
    }

    private sealed class Model(TokenBench bench, Random random)
    {
        private readonly List<Token> _tokens = [];
        private readonly Dictionary<string, string[]> _roles = new(StringComparer.Ordinal);
        private readonly List<(Token Token, string Bearer)> _bearers = [];
        private readonly List<(Token Token, string Bearer, Caller Caller)> _held = [];
        private int _made;

        public int SeenAlive { get; private set; }
        public int SeenDead { get; private set; }

        private DateTimeOffset Now => bench.Time.GetUtcNow();

        public async Task<string> StepAsync()
        {
            var step = random.Next(100);
            if (step < 8 || _roles.Count == 0) return await RoleAsync();
            if (step < 22 || _tokens.Count == 0) return await CreateAsync();
            if (step < 50) return await DeriveAsync();
            if (step < 62) return await RollAsync();
            if (step < 68) return await RollsApartAsync();
            if (step < 74) return await RevokeAsync();
            if (step < 82) return await RenewAsync();
            if (step < 86) return await KillAsync();
            if (step < 96)
            {
                bench.Time.Advance(TimeSpan.FromSeconds(random.Next(40)));
                return "time goes on";
            }
            return await KeepAsync();
        }

        public async Task CheckAsync()
        {
            foreach (var (token, bearer) in _bearers)
            {
                var lives = token.Accepts(bearer, Now);
                (bench.Failure(bearer) is null).ShouldBe(lives, $"{token.Name} (generation {token.Depth}): {bench.Failure(bearer)}");
                if (lives) SeenAlive++;
                else SeenDead++;
                if (!lives) continue;
                var caller = bench.CallerOf(bearer);
                foreach (var service in s_services)
                    caller.Can(Permission.ConfigRead, Subject.Of(service, "dev")).ShouldBe(token.May(_roles, service), $"{token.Name} on {service}");
            }
            foreach (var (token, bearer, caller) in _held) bench.Authenticator.IsCurrent(caller).ShouldBe(token.Accepts(bearer, Now), $"{token.Name}, held");
            if (_held.Count == 0) return;
            // A transaction sees the same.
            var some = _held[random.Next(_held.Count)];
            (await bench.Database.ReadAsync(s => bench.Table.IsCurrent(s, some.Caller), default)).ShouldBe(some.Token.Accepts(some.Bearer, Now));
        }

        private async Task<string> RoleAsync()
        {
            var name = "role" + random.Next(3);
            if (random.Next(4) == 0)
            {
                _roles.Remove(name);
                await bench.SetRoleAsync(name, null);
                return "deleted " + name;
            }
            string[] services = random.Next(3) switch { 0 => ["a"], 1 => ["b"], _ => ["a", "b"] };
            _roles[name] = services;
            await bench.SetRoleAsync(name, Options(name, services));
            return $"{name} is {string.Join(' ', services)}";
        }

        private async Task<string> CreateAsync()
        {
            var role = _roles.Keys.ElementAt(random.Next(_roles.Count));
            var (service, life) = (Service(null), random.Next(3) == 0 ? TimeSpan.FromSeconds(random.Next(1, 200)) : (TimeSpan?)null);
            var name = $"t{++_made}";
            var bearer = await bench.CreateTokenAsync(name, role, t => t with { Services = service is null ? null : [service], ExpiresIn = life });
            Keep(new Token(name, role, service, null, null) { ExpiresAt = Now + life }, bearer);
            return "created " + name;
        }

        private async Task<string> DeriveAsync()
        {
            if (Living() is not { } from) return "nobody to derive from";
            var (parent, last) = (from.Token, $"d{++_made}");
            var name = $"{parent.Name}.{last}";
            var service = Service(parent.Service);
            var life = TimeSpan.FromSeconds(random.Next(1, 200));
            var inAll = random.Next(2) == 0 ? life + TimeSpan.FromSeconds(random.Next(200)) : (TimeSpan?)null;
            var asked = new DerivedToken { Name = last, Services = service == parent.Service ? null : [service!], ExpiresIn = life, RenewableFor = inAll };
            if (parent.Depth == TokenTable.MaxDepth || !_roles.ContainsKey(parent.Role))
            {
                await bench.RefusedAsync(_roles.ContainsKey(parent.Role) ? ErrorCode.Conflict : ErrorCode.Forbidden, () => bench.DeriveAsync(from.Bearer, _ => asked));
                return "derived nothing";
            }
            var bearer = await bench.DeriveAsync(from.Bearer, _ => asked);
            Keep(new Token(name, parent.Role, service, parent, from.Bearer)
            {
                ExpiresAt = Earlier(Now + life, parent.ExpiresAt),
                RenewFor = inAll is null ? null : life,
                RenewUntil = Now + (inAll ?? life),
            }, bearer);
            return $"derived {name} from {parent.Name}";
        }

        private async Task<string> RollAsync()
        {
            var token = _tokens[random.Next(_tokens.Count)];
            var grace = random.Next(2) == 0 ? TimeSpan.Zero : TimeSpan.FromSeconds(random.Next(1, 100));
            if (token.ExpiresAt <= Now)
            {
                (await Should.ThrowAsync<LockstepException>(() => bench.RollAsync(token.Name, grace))).Code.ShouldBeOneOf(ErrorCode.Conflict, ErrorCode.NotFound);
                return "rolled nothing";
            }
            Rolled(token, await bench.RollAsync(token.Name, grace), grace);
            return $"rolled {token.Name} with {grace}";
        }

        // Two writes that are applied in any order, perhaps with all taken from the database in between.
        private async Task<string> RollsApartAsync()
        {
            var token = _tokens[random.Next(_tokens.Count)];
            if (token.ExpiresAt <= Now) return "too late";
            var first = await bench.WriteAsync(s => bench.Table.Roll(s, TokenBench.Admin, token.Name, TimeSpan.Zero));
            var second = await bench.WriteAsync(s => bench.Table.Roll(s, TokenBench.Admin, token.Name, TimeSpan.Zero));
            var loads = random.Next(2) == 0;
            if (loads) await bench.WriteAsync(s => { bench.Authenticator.Load(s); return 0; });
            var order = random.Next(3);
            if (order != 1) bench.Table.Apply(second);
            if (order != 2 || !loads) bench.Table.Apply(first);
            if (order == 1) bench.Table.Apply(second);
            _bearers.Add((token, first.Token!.Value.Export()));
            Rolled(token, second.Token!.Value.Export(), TimeSpan.Zero);
            return $"rolled {token.Name} twice";
        }

        private async Task<string> RevokeAsync()
        {
            var token = _tokens[random.Next(_tokens.Count)];
            if (token.ExpiresAt <= Now && token.Parent is not null) return "it may be forgotten";
            await bench.RevokeAsync(token.Name);
            (token.IsRevoked, token.Previous) = (true, null);
            return "revoked " + token.Name;
        }

        private async Task<string> RenewAsync()
        {
            if (Living() is not { } who) return "nobody to renew";
            if (who.Token.RenewFor is not { } life)
            {
                await bench.RefusedAsync(ErrorCode.Conflict, () => bench.RenewAsync(who.Bearer));
                return "renewed nothing";
            }
            var asked = random.Next(2) == 0 ? TimeSpan.FromSeconds(random.Next(1, 300)) : (TimeSpan?)null;
            var end = await bench.RenewAsync(who.Bearer, asked);
            who.Token.ExpiresAt = Earlier(Earlier(Now + (asked < life ? asked.Value : life), who.Token.RenewUntil), who.Token.Parent!.ExpiresAt);
            end.ShouldBe(who.Token.ExpiresAt!.Value);
            return "renewed " + who.Token.Name;
        }

        private async Task<string> KillAsync()
        {
            var by = random.Next(2) == 0 ? Living() : null;
            var service = random.Next(3) == 0 ? null : s_services[random.Next(2)];
            var spared = new HashSet<Token>();
            for (var token = by?.Token; token is not null; token = token.Parent) spared.Add(token);
            var expected = _tokens.Where(t => !t.IsOver(Now) && t.Parent?.Accepts(t.ParentBearer!, Now) != false && !spared.Contains(t) && (service is null || t.Reaches(_roles, service))).ToList();
            var scope = new KillScope { Services = service is null ? null : [service] };
            var caller = by is { } b ? bench.CallerOf(b.Bearer) : TokenBench.Admin;
            bench.Table.InScope(caller, scope).Select(t => t.Name).Order(StringComparer.Ordinal).ShouldBe(expected.Select(t => t.Name).Order(StringComparer.Ordinal), "as it was planned");
            (await bench.KillAsync(scope, caller)).Order(StringComparer.Ordinal).ShouldBe(expected.Select(t => t.Name).Order(StringComparer.Ordinal));
            foreach (var token in expected) (token.IsRevoked, token.Previous) = (true, null);
            return $"killed {expected.Count}";
        }

        private async Task<string> KeepAsync()
        {
            if (random.Next(2) == 0)
            {
                _held.Clear();
                await bench.RestartAsync();
                return "restarted";
            }
            bench.Table.ForgetEnded();
            return "kept the books";
        }

        private void Rolled(Token token, string bearer, TimeSpan grace)
        {
            var keeps = grace > TimeSpan.Zero && !token.IsRevoked;
            (token.Previous, token.PreviousUntil) = keeps ? (token.Bearer, Now + grace) : (null, default);
            (token.Bearer, token.IsRevoked) = (bearer, false);
            Know(token, bearer);
        }

        private void Keep(Token token, string bearer)
        {
            token.Bearer = bearer;
            _tokens.Add(token);
            Know(token, bearer);
        }

        private void Know(Token token, string bearer)
        {
            _bearers.Add((token, bearer));
            if (token.Accepts(bearer, Now)) _held.Add((token, bearer, bench.CallerOf(bearer)));
            // The oldest are long dead; to look at all of them takes ever longer.
            if (_bearers.Count > 150) _bearers.RemoveAt(0);
            if (_held.Count > 60) _held.RemoveAt(0);
        }

        private (Token Token, string Bearer)? Living()
        {
            var living = _bearers.Where(b => b.Token.Accepts(b.Bearer, Now)).ToList();
            return living.Count == 0 ? null : living[random.Next(living.Count)];
        }

        private string? Service(string? of) => of ?? (random.Next(2) == 0 ? null : s_services[random.Next(2)]);

        private static RoleOptions Options(string name, string[] services) => new() { Name = name, Permissions = ["config:read"], Services = services };

        private static DateTimeOffset Earlier(DateTimeOffset a, DateTimeOffset? b) => b < a ? b.Value : a;
    }
}
