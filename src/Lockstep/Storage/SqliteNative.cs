using System.Reflection;
using System.Runtime.InteropServices;
using Lockstep.Client;
using SQLitePCL;

namespace Lockstep.Storage;

/// <summary>Binds the provider to the operating system's SQLite, which gets its security updates from there.</summary>
internal static class SqliteNative
{
    // RETURNING needs 3.35 (2021).
    private const int OldestVersion = 3_035_000;

    private static readonly Lock s_lock = new();
    private static bool s_loaded;

    public static void Load()
    {
        lock (s_lock)
        {
            if (s_loaded) return;
            NativeLibrary.SetDllImportResolver(typeof(SQLite3Provider_e_sqlite3).Assembly, Resolve);
            raw.SetProvider(new SQLite3Provider_e_sqlite3());
            if (raw.sqlite3_libversion_number() < OldestVersion)
            {
                throw new LockstepException(ErrorCode.Unavailable,
                    $"the system's SQLite is {raw.sqlite3_libversion().utf8_to_string()}; Lockstep needs 3.35 or newer. Update it, or use PostgreSQL (database: postgres://…)");
            }
            s_loaded = true;
        }
    }

    /// <summary>The version of the system's library.</summary>
    public static string Version()
    {
        Load();
        return raw.sqlite3_libversion().utf8_to_string();
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        if (!string.Equals(name, "e_sqlite3", StringComparison.Ordinal)) return 0;
        string[] candidates = OperatingSystem.IsWindows() ? ["winsqlite3"]
            : OperatingSystem.IsMacOS() ? ["libsqlite3.dylib", "/usr/lib/libsqlite3.dylib"]
            : ["libsqlite3.so.0", "libsqlite3.so"];
        foreach (var candidate in candidates)
            if (NativeLibrary.TryLoad(candidate, out var handle)) return handle;
        throw new LockstepException(ErrorCode.Unavailable,
            $"the system's SQLite library ({candidates[0]}) is missing. Install it (Debian: libsqlite3-0, Alpine: sqlite-libs, Fedora: sqlite-libs), or use PostgreSQL (database: postgres://…)");
    }
}
