using System.Globalization;
using System.Reflection;
using Lockstep.Client;

namespace Lockstep.Storage;

/// <summary>Brings the tables to this program's format: the number of the newest migration, kept in <c>meta</c>.</summary>
internal static class Migrator
{
    private const string Folder = "Migrations/";

    /// <summary>The format of this program.</summary>
    public static int Newest => Load()[^1].Number;

    /// <summary>Applies what is missing, in the caller's transaction, and returns the numbers applied.</summary>
    /// <exception cref="LockstepException">conflict when the database is newer than the program.</exception>
    public static IReadOnlyList<int> Apply(Dialect dialect, SqlSession session, int upTo = int.MaxValue)
    {
        var migrations = Load();
        var newest = migrations[^1].Number;
        var current = dialect.HasTable(session, "meta") ? (int)(Meta.GetNumber(session, "format") ?? 0) : 0;
        if (current > newest)
        {
            throw new LockstepException(ErrorCode.Conflict, string.Create(CultureInfo.InvariantCulture,
                $"the database {dialect.Name} has format {current}; this program knows formats up to {newest}. Run the newer program, or restore a backup made before the upgrade"));
        }
        var applied = new List<int>();
        foreach (var (number, sql) in migrations.Where(m => m.Number > current && m.Number <= upTo))
        {
            session.Script(dialect.Expand(sql));
            applied.Add(number);
        }
        if (applied.Count > 0) Meta.SetNumber(session, "format", applied[^1]);
        return applied;
    }

    private static List<(int Number, string Sql)> Load()
    {
        var assembly = Assembly.GetExecutingAssembly();
        var migrations = new List<(int Number, string Sql)>();
        foreach (var name in assembly.GetManifestResourceNames().Where(n => n.StartsWith(Folder, StringComparison.Ordinal)))
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
            migrations.Add((int.Parse(name.AsSpan(Folder.Length, 4), NumberStyles.None, CultureInfo.InvariantCulture), reader.ReadToEnd()));
        }
        migrations.Sort((a, b) => a.Number.CompareTo(b.Number));
        return migrations;
    }
}
