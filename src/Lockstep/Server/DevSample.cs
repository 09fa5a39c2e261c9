using System.Text;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Secrets;

namespace Lockstep.Server;

/// <summary>A small repository to try things on: two services, two environments, one secret.</summary>
internal static class DevSample
{
    private static readonly Dictionary<string, string> s_files = new(StringComparer.Ordinal)
    {
        ["README.md"] = """
            # Sample configuration

            application.yml holds what every service shares, SERVICE.yml what one service has of its own, and SERVICE-ENVIRONMENT.yml what differs
            in one environment. Later ones win. `${secret:ID#FIELD}` is a reference to a secret, `${key}` to another key.

            """,
        ["application.yml"] = """
            logging:
              level: info
            mail:
              host: localhost
              port: 1025

            """,
        ["shop.yml"] = """
            shop:
              greeting: Hello from the shop
            db:
              host: localhost
              name: shop
              pool: 10
              username: ${secret:shop/db#username}
              password: ${secret:shop/db#password}
              url: postgres://${db.username}:${db.password}@${db.host}/${db.name}

            """,
        ["shop-production.yml"] = """
            logging:
              level: warning
            db:
              host: db.internal
              pool: 50

            """,
        ["mailer.yml"] = """
            mailer:
              from: shop@example.com
              batch: 20

            """,
        ["mailer-production.yml"] = """
            mail:
              host: smtp.internal
              port: 587
            mailer:
              batch: 200

            """,
    };

    /// <summary>Loads the sample, unless the repository has something already.</summary>
    public static async Task LoadAsync(LockstepServer server, string branch, CancellationToken cancellationToken)
    {
        var gate = server.Gate;
        if (gate.TrackedCommit(gate.Lane.Live.Release) is not null) return;
        var call = CallContext.System("dev");
        try
        {
            await gate.CreateSecretAsync(call, SecretId.Parse("shop/db"), new SecretValue("""{"username":"shop","password":"dev-only-4711"}"""), cancellationToken);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.AlreadyExists)
        {
            // A start that was interrupted between the secret and the commit.
        }
        var files = s_files.ToDictionary(f => f.Key, f => (byte[]?)Encoding.UTF8.GetBytes(f.Value), StringComparer.Ordinal);
        await server.Repository.CommitAsync(branch, null, files, "Lockstep", "A sample configuration", cancellationToken);
        await gate.RefreshAsync(call, cancellationToken);
    }
}
