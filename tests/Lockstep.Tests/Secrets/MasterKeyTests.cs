using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Secrets;
using Lockstep.Settings;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Secrets;

public sealed class MasterKeyTests : IAsyncLifetime
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
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
    public async Task The_first_start_makes_a_key_for_its_owner_alone_and_the_next_finds_it()
    {
        using var first = await OpenAsync("keys/deep/master.key");
        var path = _place.Directory.File("keys/deep/master.key");
        if (!OperatingSystem.IsWindows())
        {
            File.GetUnixFileMode(path).ShouldBe(Private);
            File.GetUnixFileMode(Path.GetDirectoryName(path)!).ShouldBe(Private | UnixFileMode.UserExecute);
        }
        Convert.FromBase64String(await File.ReadAllTextAsync(path)).Length.ShouldBe(32);
        using var second = await OpenAsync("keys/deep/master.key");
        second.Derive("audit").ShouldBe(first.Derive("audit"));
    }

    [Fact]
    public async Task Each_purpose_has_its_own_key()
    {
        using var key = await OpenAsync("master.key");
        var raw = Convert.FromBase64String(await File.ReadAllTextAsync(_place.Directory.File("master.key")));
        key.Derive("audit").Length.ShouldBe(32);
        new[] { key.Derive("audit"), key.Derive("check"), key.Derive("wrap"), raw }.Select(Convert.ToHexString).Distinct(StringComparer.Ordinal).Count().ShouldBe(4);
    }

    [Fact]
    public async Task Another_key_than_the_databases_is_refused_with_the_files_name_and_nothing_is_changed()
    {
        (await OpenAsync("master.key")).Dispose();
        await WriteKeyAsync("other.key", RandomNumberGenerator.GetBytes(32));
        var refusal = await RefusedAsync("other.key");
        refusal.Message.ShouldContain("other.key is not the one this database was made with");
        (await OpenAsync("master.key")).Dispose();
    }

    [Fact]
    public async Task A_key_that_went_missing_is_not_made_anew()
    {
        (await OpenAsync("master.key")).Dispose();
        File.Delete(_place.Directory.File("master.key"));
        (await RefusedAsync("master.key")).Message.ShouldContain("is missing");
        File.Exists(_place.Directory.File("master.key")).ShouldBeFalse();
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.GroupWrite)]
    public async Task A_key_that_others_can_read_or_change_is_refused(UnixFileMode mode)
    {
        if (OperatingSystem.IsWindows()) return;
        (await OpenAsync("master.key")).Dispose();
        File.SetUnixFileMode(_place.Directory.File("master.key"), Private | mode);
        (await RefusedAsync("master.key")).Message.ShouldContain("chmod 600");
    }

    [Fact]
    public async Task A_link_to_a_file_of_another_user_is_refused()
    {
        if (!OperatingSystem.IsLinux() || Environment.UserName != "root") return;
        await WriteKeyAsync("target.key", RandomNumberGenerator.GetBytes(32));
        File.CreateSymbolicLink(_place.Directory.File("master.key"), _place.Directory.File("target.key"));
        (await OpenAsync("master.key")).Dispose();
        using (var chown = System.Diagnostics.Process.Start("chown", ["65534", _place.Directory.File("target.key")])) await chown.WaitForExitAsync();
        (await RefusedAsync("master.key")).Message.ShouldContain("another user");
    }

    [Theory]
    [InlineData("")]
    [InlineData("not base64 at all, but rather long for a key")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAA==")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nmore")]
    public async Task A_file_that_is_no_key_is_refused_without_repeating_it(string text)
    {
        await WriteFileAsync("master.key", text);
        var refusal = await RefusedAsync("master.key");
        refusal.Message.ShouldContain("32 bytes in base64");
        if (text.Length > 0) refusal.ToString().ShouldNotContain(text);
    }

    [Fact]
    public async Task A_key_from_a_variable_is_taken_out_of_the_environment()
    {
        const string Name = "LOCKSTEP_TEST_MASTER_KEY";
        var text = Convert.ToBase64String(RandomNumberGenerator.GetBytes(32));
        var options = new MasterKeyOptions { Env = Name };
        Environment.SetEnvironmentVariable(Name, text);
        using var key = await MasterKey.OpenAsync(options, _place.Directory.Path, _database, s_none);
        Environment.GetEnvironmentVariable(Name).ShouldBeNull();
        File.Exists(_place.Directory.File("master.key")).ShouldBeFalse();
        (await Should.ThrowAsync<LockstepException>(MasterKey.OpenAsync(options, _place.Directory.Path, _database, s_none))).Message.ShouldContain(Name);
        Environment.SetEnvironmentVariable(Name, "short");
        (await Should.ThrowAsync<LockstepException>(MasterKey.OpenAsync(options, _place.Directory.Path, _database, s_none))).Message.ShouldContain("32 bytes");
        Environment.SetEnvironmentVariable(Name, null);
    }

    [Fact]
    public async Task Wrapped_keys_open_only_for_what_they_were_made_for()
    {
        using var key = await OpenAsync("master.key");
        var data = RandomNumberGenerator.GetBytes(32);
        var wrapped = key.Wrap(data, "a"u8);
        key.Unwrap(wrapped, "a"u8).ShouldBe(data);
        Should.Throw<CryptographicException>(() => key.Unwrap(wrapped, "b"u8));
        wrapped[^1] ^= 1;
        Should.Throw<CryptographicException>(() => key.Unwrap(wrapped, "a"u8));
    }

    [Fact]
    public async Task The_key_ring_keeps_one_key_a_name_wrapped()
    {
        using var key = await OpenAsync("master.key");
        var etag = await RingAsync(key, "etag-key");
        etag.Length.ShouldBe(32);
        (await RingAsync(key, "etag-key")).ShouldBe(etag);
        (await RingAsync(key, "other")).ShouldNotBe(etag);
        await _database.WriteAsync(s => { Meta.SetData(s, "key:other", Meta.GetData(s, "key:etag-key")); return 0; }, s_none);
        (await Should.ThrowAsync<LockstepException>(RingAsync(key, "other"))).Code.ShouldBe(ErrorCode.Internal);
    }

    private Task<byte[]> RingAsync(MasterKey key, string name) => _database.WriteAsync(s => new KeyRing(key).GetOrCreate(s, name), s_none);

    private Task<MasterKey> OpenAsync(string file) =>
        MasterKey.OpenAsync(new MasterKeyOptions { File = _place.Directory.File(file) }, _place.Directory.Path, _database, s_none);

    private async Task<LockstepException> RefusedAsync(string file)
    {
        var refusal = await Should.ThrowAsync<LockstepException>(OpenAsync(file));
        refusal.Code.ShouldBe(ErrorCode.Conflict);
        return refusal;
    }

    private Task WriteKeyAsync(string name, byte[] key) => WriteFileAsync(name, Convert.ToBase64String(key));

    private async Task WriteFileAsync(string name, string text)
    {
        await File.WriteAllTextAsync(_place.Directory.File(name), text);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(_place.Directory.File(name), Private);
    }
}
