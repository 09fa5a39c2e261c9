using Lockstep.Client;
using Npgsql;

namespace Lockstep.Storage;

/// <summary>Reads the setting <c>database</c>: a URL as libpq takes it, or a connection string of Npgsql. No message repeats any of it, for it may hold a password.</summary>
internal static class PostgresUrl
{
    public static NpgsqlConnectionStringBuilder Parse(string text)
    {
        try
        {
            return text.StartsWith("postgres://", StringComparison.Ordinal) || text.StartsWith("postgresql://", StringComparison.Ordinal)
                ? FromUrl(text)
                : new NpgsqlConnectionStringBuilder(text);
        }
        catch (Exception e) when (e is ArgumentException or FormatException or KeyNotFoundException)
        {
            // The inner exception is left out on purpose: it may quote the text.
            throw Malformed("write it as postgres://USER@HOST:5432/DATABASE");
        }
    }

    private static NpgsqlConnectionStringBuilder FromUrl(string text)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url)) throw Malformed("it is not a URL");
        var user = url.UserInfo.Split(':', 2);
        var settings = new NpgsqlConnectionStringBuilder { Host = url.Host.Trim('[', ']') };
        if (url.Port > 0) settings.Port = url.Port;
        if (user[0].Length > 0) settings.Username = Uri.UnescapeDataString(user[0]);
        if (user.Length > 1) settings.Password = Uri.UnescapeDataString(user[1]);
        var database = Uri.UnescapeDataString(url.AbsolutePath.TrimStart('/'));
        if (database.Length > 0) settings.Database = database;
        foreach (var pair in url.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            var parts = pair.Split('=', 2);
            Apply(settings, parts[0], parts.Length > 1 ? Uri.UnescapeDataString(parts[1]) : "");
        }
        if (string.IsNullOrEmpty(settings.Host)) throw Malformed("it names no host");
        settings.Database ??= settings.Username;
        return settings;
    }

    private static void Apply(NpgsqlConnectionStringBuilder settings, string name, string value)
    {
        switch (name)
        {
            case "host": settings.Host = value; break;
            case "port": settings.Port = int.Parse(value, System.Globalization.CultureInfo.InvariantCulture); break;
            case "user": settings.Username = value; break;
            case "password": settings.Password = value; break;
            case "dbname": settings.Database = value; break;
            case "passfile": settings.Passfile = value; break;
            case "application_name": settings.ApplicationName = value; break;
            case "options": settings.Options = value; break;
            case "sslrootcert": settings.RootCertificate = value; break;
            case "sslcert": settings.SslCertificate = value; break;
            case "sslkey": settings.SslKey = value; break;
            case "sslmode":
                settings.SslMode = value switch
                {
                    "disable" => SslMode.Disable,
                    "allow" => SslMode.Allow,
                    "prefer" => SslMode.Prefer,
                    "require" => SslMode.Require,
                    "verify-ca" => SslMode.VerifyCA,
                    "verify-full" => SslMode.VerifyFull,
                    _ => throw Malformed("sslmode is one of disable, allow, prefer, require, verify-ca, verify-full"),
                };
                break;
            default:
                throw Malformed("a parameter after the ? is not known; host, port, user, password, dbname, passfile, application_name, options, sslmode, sslrootcert, sslcert and sslkey are");
        }
    }

    private static LockstepException Malformed(string detail) => new(ErrorCode.BadRequest, $"the setting database can't be used: {detail}");
}
