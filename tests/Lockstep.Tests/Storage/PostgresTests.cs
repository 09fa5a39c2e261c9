using Lockstep.Client;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Tests.Storage;

/// <summary>What only PostgreSQL can do wrong.</summary>
[Trait("speed", "medium")]
public sealed class PostgresTests(ITestOutputHelper output)
{
    private const string CutAll = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

    [Fact]
    public async Task A_second_server_is_refused_and_told_who_has_the_database()
    {
        if (Skip()) return;
        using var place = await TestDatabase.PostgresAsync();
        await using (await place.OpenAsync())
        {
            var refusal = await Should.ThrowAsync<LockstepException>(place.OpenAsync());
            refusal.Code.ShouldBe(ErrorCode.Unavailable);
            refusal.Message.ShouldContain($"pid {Environment.ProcessId}");
        }
        await using var again = await place.OpenAsync();
    }

    [Fact]
    public async Task Lost_connections_are_made_again()
    {
        if (Skip()) return;
        using var place = await TestDatabase.PostgresAsync();
        await using var database = await place.OpenAsync();
        await WriteAsync(database, 1);
        (await ReadAsync(database)).ShouldBe(1);
        await PostgresServer.ExecuteAsync(place.Url!, CutAll);
        (await ReadAsync(database)).ShouldBe(1);
        (await Should.ThrowAsync<LockstepException>(WriteAsync(database, 2))).Code.ShouldBe(ErrorCode.Unavailable);
        database.WriteFailure.ShouldNotBeNull();
        (await database.CheckWritableAsync(CancellationToken.None)).ShouldBeNull();
        await WriteAsync(database, 3);
        (await ReadAsync(database)).ShouldBe(3);
    }

    [Fact]
    public async Task A_server_that_another_one_replaced_never_writes_again()
    {
        if (Skip()) return;
        using var place = await TestDatabase.PostgresAsync();
        await using var old = await place.OpenAsync();
        await WriteAsync(old, 1);
        await PostgresServer.ExecuteAsync(place.Url!, CutAll);
        await using (var other = await place.OpenAsync()) await WriteAsync(other, 2);
        await Should.ThrowAsync<LockstepException>(WriteAsync(old, 3));
        (await Should.ThrowAsync<LockstepException>(WriteAsync(old, 4))).Message.ShouldContain("restart this one");
        (await ReadAsync(old)).ShouldBe(2);
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_said_so_without_the_password()
    {
        using var place = new TestDatabase("postgres://lockstep:hunter2-marker@127.0.0.1:1/lockstep");
        var refusal = await Should.ThrowAsync<LockstepException>(place.OpenAsync());
        refusal.Code.ShouldBe(ErrorCode.Unavailable);
        refusal.ToString().ShouldNotContain("hunter2-marker");
    }

    [Theory]
    [InlineData("postgres://u:hunter2-marker@h/d?nosuch=1")]
    [InlineData("postgres://u:hunter2-marker@h/d?sslmode=maybe")]
    [InlineData("postgres://u:hunter2-marker@h:port/d")]
    [InlineData("postgres://u:hunter2-marker@h/d?port=x")]
    [InlineData("Host=h;Pasword=hunter2-marker")]
    [InlineData("hunter2-marker")]
    public void A_malformed_setting_is_refused_without_repeating_it(string text)
    {
        var refusal = Should.Throw<LockstepException>(() => PostgresUrl.Parse(text));
        refusal.ToString().ShouldNotContain("hunter2-marker");
        refusal.ToString().ShouldNotContain("maybe");
    }

    [Fact]
    public void Urls_and_connection_strings_are_understood()
    {
        var url = PostgresUrl.Parse("postgresql://us%40er:p%2Fw@db.example:6432/na%20me?sslmode=verify-full&passfile=/x");
        (url.Username, url.Password, url.Host, url.Port, url.Database, url.Passfile).ShouldBe(("us@er", "p/w", "db.example", 6432, "na me", "/x"));
        url.SslMode.ShouldBe(Npgsql.SslMode.VerifyFull);
        PostgresUrl.Parse("postgres:///config?host=/run/postgresql&user=me").Host.ShouldBe("/run/postgresql");
        PostgresUrl.Parse("postgres://[::1]/config").Host.ShouldBe("::1");
        PostgresUrl.Parse("Host=h;Database=d;Username=u").Database.ShouldBe("d");
    }

    private bool Skip()
    {
        if (PostgresServer.Missing is { } reason) output.WriteLine(reason);
        return PostgresServer.Missing is not null;
    }

    private static Task<int> WriteAsync(Database database, int number) =>
        database.WriteAsync(s => { Meta.SetNumber(s, "last", number); return 0; }, CancellationToken.None);

    private static Task<long?> ReadAsync(Database database) => database.ReadAsync(s => Meta.GetNumber(s, "last"), CancellationToken.None);
}
