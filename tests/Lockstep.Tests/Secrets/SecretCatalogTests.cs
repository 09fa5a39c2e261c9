using Lockstep.Client;
using Lockstep.Secrets;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Secrets;

public sealed class SecretCatalogTests : IAsyncLifetime
{
    private static readonly CancellationToken s_none = CancellationToken.None;
    private readonly TestDatabase _place = TestDatabase.Sqlite();
    private Database _database = null!;

    public async Task InitializeAsync() => _database = await _place.OpenAsync();

    public async Task DisposeAsync()
    {
        await _database.DisposeAsync();
        _place.Dispose();
    }

    [Fact]
    public async Task A_secret_is_described_with_its_versions()
    {
        await AddAsync("payments/db", 3, active: 2);
        var info = (await _database.ReadAsync(s => SecretCatalog.Get(s, Id("payments/db")), s_none)).ShouldNotBeNull();
        (info.Mount, info.Latest, info.Active, info.CreatedBy, info.DeletedAt).ShouldBe(("embedded", 3, 2, "me", null));
        info.Versions.Select(v => (v.Version, v.State)).ShouldBe([(3, "superseded"), (2, "active"), (1, "superseded")]);
        info.CreatedAt.ShouldBe(DateTimeOffset.FromUnixTimeMilliseconds(1000));
        await _database.ReadAsync(s =>
        {
            SecretCatalog.Exists(s, Id("payments/db")).ShouldBeTrue();
            SecretCatalog.Latest(s, Id("payments/db")).ShouldBe(3);
            SecretCatalog.Active(s, Id("payments/db")).ShouldBe(2);
            SecretCatalog.Exists(s, Id("payments")).ShouldBeFalse();
            SecretCatalog.Latest(s, Id("payments")).ShouldBeNull();
            SecretCatalog.Active(s, Id("payments")).ShouldBeNull();
            SecretCatalog.Get(s, Id("payments")).ShouldBeNull();
            return 0;
        }, s_none);
    }

    [Fact]
    public async Task Deleted_secrets_are_not_listed_but_can_be_described()
    {
        await AddAsync("a", 1, active: 1);
        await AddAsync("b", 1, active: 1);
        await _database.WriteAsync(s => s.Execute("UPDATE secrets SET deleted_at = 5 WHERE id = 'a'"), s_none);
        (await ListAsync(new())).ShouldBe(["b"]);
        await _database.ReadAsync(s =>
        {
            SecretCatalog.Get(s, Id("a"))!.DeletedAt.ShouldNotBeNull();
            SecretCatalog.Exists(s, Id("a")).ShouldBeFalse();
            SecretCatalog.Active(s, Id("a")).ShouldBeNull();
            return 0;
        }, s_none);
    }

    [Fact]
    public async Task Lists_agree_with_a_model_page_by_page()
    {
        var random = new Random(11);
        var ids = new SortedSet<string>(StringComparer.Ordinal);
        const string Letters = "aAbB_-.+=%";
        while (ids.Count < 1200)
        {
            var id = string.Join('/', Enumerable.Range(0, random.Next(1, 4)).Select(_ => string.Concat(Enumerable.Range(0, random.Next(1, 4)).Select(_ => Letters[random.Next(Letters.Length - 1)]))));
            if (SecretId.TryParse(id, out _)) ids.Add(id);
        }
        await _database.WriteAsync(s => { foreach (var id in ids) Add(s, id, 1, 1); return 0; }, s_none);
        foreach (var (prefix, filter, limit) in new[] { (null, null, 1000), ("a", null, 7), ("A/", "b$", 3), ("", "^[aA]+/", 100), ("b", "x", 10), (null, "a|B", 1) })
        {
            var expected = ids.Where(i => i.StartsWith(prefix ?? "", StringComparison.Ordinal) && (filter is null || System.Text.RegularExpressions.Regex.IsMatch(i, filter)));
            (await ListAsync(new(prefix, filter, null, limit))).ShouldBe(expected.Take(limit == 1 ? 20 : int.MaxValue), $"{prefix} {filter}");
        }
    }

    [Theory]
    [InlineData("(", null, 10)]
    [InlineData("(a)\\1", null, 10)]
    [InlineData("(?=a)", null, 10)]
    [InlineData("a{1000}{1000}{1000}", null, 10)]
    [InlineData(null, "ü", 10)]
    [InlineData(null, "a\0", 10)]
    [InlineData(null, null, 0)]
    [InlineData(null, null, 1001)]
    public async Task A_query_that_cannot_be_answered_is_a_bad_request(string? filter, string? prefix, int limit)
    {
        await AddAsync("a", 1, 1);
        (await Should.ThrowAsync<LockstepException>(() => ListAsync(new(prefix, filter, null, limit)))).Code.ShouldBe(ErrorCode.BadRequest);
    }

    [Fact]
    public async Task A_filter_that_would_explode_answers_in_linear_time()
    {
        await AddAsync(new string('a', 250), 1, 1);
        (await ListAsync(new(Filter: "^(a+)+b$"))).ShouldBeEmpty();
    }

    private async Task<List<string>> ListAsync(SecretQuery query)
    {
        var ids = new List<string>();
        for (var pages = 0; pages < 20; pages++)
        {
            var page = await _database.ReadAsync(s => SecretCatalog.List(s, query, _ => true, s_none), s_none);
            page.Items.Count.ShouldBeLessThanOrEqualTo(query.Limit);
            ids.AddRange(page.Items.Select(i => i.Id.Value));
            if (page.Next is null) return ids;
            query = query with { After = page.Next };
            if (query.Limit > 1) pages = 0;
        }
        return ids;
    }

    private Task<int> AddAsync(string id, int versions, int active) => _database.WriteAsync(s => { Add(s, id, versions, active); return 0; }, s_none);

    private static void Add(SqlSession session, string id, int versions, int active)
    {
        session.Execute("INSERT INTO secrets (id, mount, latest, created_at, created_by) VALUES (@id, 'embedded', @latest, 1000, 'me')", ("@id", id), ("@latest", versions));
        for (var v = 1; v <= versions; v++)
            session.Execute("INSERT INTO secret_versions (id, version, state, created_at, created_by) VALUES (@id, @version, @state, 1000, 'me')",
                ("@id", id), ("@version", v), ("@state", v == active ? "active" : "superseded"));
    }

    private static SecretId Id(string text) => SecretId.TryParse(text, out var id) ? id : throw new ArgumentException(text, nameof(text));
}
