using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Lockstep.Tests.Support;

/// <summary>A private certificate authority: a root that clients may trust, and an issuer below it that servers have to send along.</summary>
internal sealed class TestAuthority : IDisposable
{
    private readonly X509Certificate2 _root;
    private readonly X509Certificate2 _issuer;
    private int _serial;

    public TestAuthority()
    {
        _root = Make("CN=root", null, isAuthority: true, TimeProvider.System.GetUtcNow().AddYears(5)).Certificate;
        _issuer = Make("CN=issuer", _root, isAuthority: true, TimeProvider.System.GetUtcNow().AddYears(4)).Certificate;
    }

    /// <summary>What clients trust, as PEM.</summary>
    public string RootPem => _root.ExportCertificatePem();

    /// <summary>A pair for 127.0.0.1 and localhost: the certificate with its issuer's after it, and the key.</summary>
    public (string Certificate, string Key) Issue(string name, DateTimeOffset? until = null, DateTimeOffset? from = null)
    {
        var (certificate, key) = Make("CN=" + name, _issuer, isAuthority: false, until ?? TimeProvider.System.GetUtcNow().AddDays(90), from);
        using (certificate) return (certificate.ExportCertificatePem() + "\n" + _issuer.ExportCertificatePem() + "\n", key);
    }

    /// <summary>A pair for the same names, of the root itself: for servers that send no other certificate along.</summary>
    public X509Certificate2 IssueByRoot()
    {
        var (certificate, key) = Make("CN=localhost", _root, isAuthority: false, TimeProvider.System.GetUtcNow().AddDays(30));
        using (certificate)
        using (var pair = X509Certificate2.CreateFromPem(certificate.ExportCertificatePem(), key))
        {
            // Some platforms' TLS wants a key that was loaded, not made.
            return X509CertificateLoader.LoadPkcs12(pair.Export(X509ContentType.Pkcs12), null);
        }
    }

    /// <summary>A client that trusts the root alone. <paramref name="seen"/> hears of the certificate of each new connection.</summary>
    public HttpClient Client(Action<string>? seen = null) => new(new SocketsHttpHandler
    {
        UseProxy = false,
        SslOptions = new SslClientAuthenticationOptions { RemoteCertificateValidationCallback = (_, certificate, chain, _) => IsValid((X509Certificate2)certificate!, chain!, seen) },
    }) { Timeout = TimeSpan.FromSeconds(30) };

    /// <summary>Whether a server's certificate leads to the root with what the server sent alone.</summary>
    public bool IsValid(X509Certificate2 certificate, X509Chain sent, Action<string>? seen = null)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(_root);
        chain.ChainPolicy.ExtraStore.AddRange(sent.ChainPolicy.ExtraStore);
        seen?.Invoke(certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false));
        return chain.Build(certificate);
    }

    public void Dispose()
    {
        _root.Dispose();
        _issuer.Dispose();
    }

    private (X509Certificate2 Certificate, string Key) Make(string subject, X509Certificate2? issuer, bool isAuthority, DateTimeOffset until, DateTimeOffset? begin = null)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(isAuthority, false, 0, true));
        if (!isAuthority)
        {
            var names = new SubjectAlternativeNameBuilder();
            names.AddIpAddress(IPAddress.Loopback);
            names.AddDnsName("localhost");
            request.CertificateExtensions.Add(names.Build());
        }
        var from = begin ?? TimeProvider.System.GetUtcNow().AddDays(-30);
        if (issuer is null) return (request.CreateSelfSigned(from, until), "");
        using var made = request.Create(issuer, from, until, [1, (byte)++_serial]);
        return (made.CopyWithPrivateKey(key), key.ExportPkcs8PrivateKeyPem());
    }
}
