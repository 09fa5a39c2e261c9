using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Lockstep.Client;
using Lockstep.Server;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Server;

[Trait("speed", "medium")]
public sealed class TlsTests : IDisposable
{
    private readonly TestAuthority _authority = new();
    private readonly TestRepository _repository = new();
    private readonly TempDirectory _files = new();

    public void Dispose()
    {
        _authority.Dispose();
        _repository.Dispose();
        _files.Dispose();
    }

    [Fact]
    public async Task Documents_watch_and_management_go_over_https_with_the_chain_of_the_file()
    {
        await using var server = await StartAsync("first");
        using var http = _authority.Client();
        server.Server.Address.ShouldStartWith("https://127.0.0.1:");
        (await GetAsync(http, server, "/v1/config/a/dev")).ShouldContain("\"x\":1");
        (await http.GetStringAsync(new Uri(server.Server.ManagementAddress + "/readyz"))).ShouldContain("\"certificate\":\"ok\"");
        (await http.GetStringAsync(new Uri(server.Server.ManagementAddress + "/metrics"))).ShouldContain("lockstep_tls_certificate_expiry_seconds ");

        await using var watcher = await TestWatcher.ConnectAsync(server, server.Admin.Token, with: o =>
            o.RemoteCertificateValidationCallback = (_, certificate, chain, _) => _authority.IsValid((X509Certificate2)certificate!, chain!));
        await watcher.SubscribeAsync(1, "a/dev");
        _repository.Commit(("a.yml", "x: 2\n"));
        using var refreshed = await http.SendAsync(Request(server, HttpMethod.Post, "/v1/refresh"));
        await watcher.UntilAsync(w => w.Held[1].Values.Contains("x=2", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(SslProtocols.Tls12)]
    [InlineData(SslProtocols.Tls13)]
    public async Task Tls_1_2_and_1_3_are_spoken(SslProtocols protocol)
    {
        await using var server = await StartAsync("first");
        (await HandshakeAsync(server, protocol)).ShouldBe(protocol);
    }

    [Fact]
    public void Nothing_older_than_tls_1_2_is_offered()
    {
        var (certificate, key) = Write(_authority.Issue("first"));
        using var loaded = new Opened(certificate, key);
        loaded.Certificate.Offer().EnabledSslProtocols.ShouldBe(SslProtocols.Tls12 | SslProtocols.Tls13);
    }

    [Fact]
    public async Task New_connections_get_a_new_pair_and_open_ones_go_on()
    {
        await using var server = await StartAsync("first");
        var seen = "";
        using var open = _authority.Client(n => seen = n);
        await GetAsync(open, server, "/v1/whoami");
        seen.ShouldBe("first");

        Write(_authority.Issue("second"));
        await Poll.UntilAsync(async () => await NameAsync(server) == "second", "new connections get the new certificate");
        seen = "the connection was made anew";
        await GetAsync(open, server, "/v1/whoami");
        seen.ShouldBe("the connection was made anew");
    }

    [Fact]
    public async Task A_certificate_without_its_key_changes_nothing_and_is_told_until_the_key_is_there()
    {
        await using var server = await StartAsync("first");
        using var http = _authority.Client();
        var second = _authority.Issue("second");
        File.WriteAllText(_files.File("tls.crt"), second.Certificate);
        await Poll.UntilAsync(async () => (await http.GetStringAsync(new Uri(server.Server.ManagementAddress + "/readyz"))).Contains("warning: the files were changed", StringComparison.Ordinal), "readiness tells of it");
        (await NameAsync(server)).ShouldBe("first");
        server.Logs.Lines.ShouldContain(l => l.Contains("The certificate in use is kept", StringComparison.Ordinal));

        File.WriteAllText(_files.File("tls.key"), second.Key);
        await Poll.UntilAsync(async () => await NameAsync(server) == "second", "new connections get the new certificate");
        (await http.GetStringAsync(new Uri(server.Server.ManagementAddress + "/readyz"))).ShouldContain("\"certificate\":\"ok\"");
    }

    [Theory]
    [InlineData(-20, -1)]
    [InlineData(1, 20)]
    public async Task A_pair_that_has_ended_or_not_begun_is_not_taken(int from, int until)
    {
        await using var server = await StartAsync("first");
        var now = TimeProvider.System.GetUtcNow();
        Write(_authority.Issue("second", now.AddDays(until), now.AddDays(from)));
        await Poll.UntilAsync(() => server.Logs.Lines.Any(l => l.Contains("The certificate in use is kept", StringComparison.Ordinal)), "it is told");
        (await NameAsync(server)).ShouldBe("first");
    }

    [Theory]
    [InlineData("no certificate", "tls.crt of the setting tls can't be read")]
    [InlineData("no key", "tls.key of the setting tls can't be read")]
    [InlineData("garbage", "tls.crt of the setting tls holds no certificate")]
    [InlineData("cut off", "tls.crt of the setting tls is cut off")]
    [InlineData("another's key", "tls.key of the setting tls holds no private key")]
    [InlineData("an encrypted key", "tls.key of the setting tls is encrypted")]
    [InlineData("the key twice", "tls.crt of the setting tls holds no certificate")]
    public void What_does_not_load_ends_the_start_and_names_the_file(string what, string message)
    {
        var (certificate, key) = _authority.Issue("first");
        var (path, keyPath) = Write(what switch
        {
            "garbage" => ("-----BEGIN NOTHING-----", key),
            "cut off" => (certificate[..^40], key),
            "another's key" => (certificate, _authority.Issue("second").Key),
            "an encrypted key" => (certificate, Encrypted()),
            "the key twice" => (key, key),
            _ => (certificate, key),
        });
        if (what == "no certificate") File.Delete(path);
        if (what == "no key") File.Delete(keyPath);
        var error = Should.Throw<LockstepException>(() => new Opened(path, keyPath));
        error.Code.ShouldBe(ErrorCode.InvalidConfig);
        error.Message.ShouldContain(message);
        error.Message.ShouldNotContain(key[40..60]);
    }

    private static string Encrypted()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return key.ExportEncryptedPkcs8PrivateKeyPem("word", new PbeParameters(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 1));
    }

    private (string Certificate, string Key) Write((string Certificate, string Key) pair)
    {
        File.WriteAllText(_files.File("tls.crt"), pair.Certificate);
        File.WriteAllText(_files.File("tls.key"), pair.Key);
        return (_files.File("tls.crt"), _files.File("tls.key"));
    }

    private async Task<TestServer> StartAsync(string name)
    {
        _repository.Commit(("a.yml", "x: 1\n"));
        var (certificate, key) = Write(_authority.Issue(name));
        return await TestServer.StartAsync(_repository, o => o with
        {
            Listen = new ListenAddress(true, IPAddress.Loopback, 0),
            Management = new ListenAddress(true, IPAddress.Loopback, 0),
            Operation = new OperationOptions { Tls = new TlsOptions(certificate, key) },
        });
    }

    private static HttpRequestMessage Request(TestServer server, HttpMethod method, string path)
    {
        var request = new HttpRequestMessage(method, new Uri(server.Server.Address + path));
        request.Headers.Authorization = new("Bearer", server.Admin.Token);
        return request;
    }

    private static async Task<string> GetAsync(HttpClient http, TestServer server, string path)
    {
        using var request = Request(server, HttpMethod.Get, path);
        using var answer = await http.SendAsync(request);
        answer.EnsureSuccessStatusCode();
        return await answer.Content.ReadAsStringAsync();
    }

    private async Task<string> NameAsync(TestServer server)
    {
        var name = "";
        using var http = _authority.Client(n => name = n);
        await GetAsync(http, server, "/v1/whoami");
        return name;
    }

    private async Task<SslProtocols> HandshakeAsync(TestServer server, SslProtocols protocol)
    {
        using var socket = new TcpClient();
        await socket.ConnectAsync(IPAddress.Loopback, new Uri(server.Server.Address).Port);
        await using var stream = new SslStream(socket.GetStream(), false, (_, certificate, chain, _) => _authority.IsValid((X509Certificate2)certificate!, chain!));
        await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "localhost", EnabledSslProtocols = protocol });
        return stream.SslProtocol;
    }

    private sealed class Opened(string certificate, string key) : IDisposable
    {
        public TlsCertificate Certificate { get; } = TlsCertificate.Open(new TlsOptions(certificate, key), TimeProvider.System, NullLoggerFactory.Instance);

        public void Dispose() => Certificate.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }
}
