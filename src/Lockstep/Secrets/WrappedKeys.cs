using System.Globalization;
using System.Security.Cryptography;
using Lockstep.Secrets.Embedded;
using Lockstep.Storage;

namespace Lockstep.Secrets;

/// <summary>Everything in the database that the master key wraps.</summary>
internal static class WrappedKeys
{
    /// <summary>Names of those that do not open: their rows were changed.</summary>
    public static List<string> Damaged(SqlSession session, MasterKey master)
    {
        var damaged = new List<string>();
        void Check(string name, byte[] wrapped, byte[] binding)
        {
            try
            {
                CryptographicOperations.ZeroMemory(master.Unwrap(wrapped, binding));
            }
            catch (CryptographicException)
            {
                damaged.Add(name);
            }
        }

        session.Each("SELECT name, data FROM meta WHERE name LIKE 'key:%' AND data IS NOT NULL ORDER BY name",
            row => Check(row.GetString(0), row.Data(1), KeyRing.Binding(row.GetString(0)[KeyRing.Prefix.Length..])));
        session.Each("SELECT id, version, wrapped_key FROM secret_versions WHERE wrapped_key IS NOT NULL ORDER BY id, version",
            row =>
            {
                var (id, version) = (row.GetString(0), row.GetInt64(1));
                var name = string.Create(CultureInfo.InvariantCulture, $"{id}@{version}");
                if (SecretId.TryParse(id, out var secret) && version is >= 1 and <= int.MaxValue) Check(name, row.Data(2), EmbeddedStore.KeyBinding(secret, (int)version));
                else damaged.Add(name);
            });
        return damaged;
    }
}
