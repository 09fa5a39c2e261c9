using System.Text;

namespace Lockstep.Client;

/// <summary>How configuration keys become names of environment variables, and which names must never be set that way.</summary>
internal static class EnvironmentName
{
    /// <summary>Names beginning so belong to loaders, runtimes and Lockstep itself.</summary>
    private static readonly string[] s_refusedPrefixes =
    [
        "LD_", "DYLD_", "_RLD", "BASH_FUNC_", "GIT_", "CORECLR_", "COR_", "COMPLUS_", "DOTNET_ROOT", "LUA_INIT", "LOCKSTEP_",
    ];

    private static readonly HashSet<string> s_refused = new(StringComparer.OrdinalIgnoreCase)
    {
        // Shells and the C library.
        "_", "PATH", "HOME", "SHELL", "ENV", "BASH_ENV", "ZDOTDIR", "IFS", "PS4", "SHELLOPTS", "BASHOPTS", "PROMPT_COMMAND", "CDPATH", "INPUTRC",
        "GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH", "HOSTALIASES", "LIBPATH", "SHLIB_PATH",
        // Language runtimes.
        "NODE_OPTIONS", "NODE_PATH", "NODE_REPL_EXTERNAL_MODULE", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONEXECUTABLE",
        "PYTHONINSPECT", "PYTHONWARNINGS", "PYTHONBREAKPOINT", "PYTHONPLATLIBDIR", "PERL5OPT", "PERL5LIB", "PERL5DB", "PERLLIB", "RUBYOPT", "RUBYLIB",
        "GEM_HOME", "GEM_PATH", "BUNDLE_GEMFILE", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_HOME", "CLASSPATH", "DOTNET_STARTUP_HOOKS",
        "DOTNET_ADDITIONAL_DEPS", "DOTNET_SHARED_STORE", "DOTNET_BUNDLE_EXTRACT_BASE_DIR", "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES", "LUA_PATH", "LUA_CPATH", "PHPRC",
        "PHP_INI_SCAN_DIR", "ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS", "ERL_LIBS", "JULIA_LOAD_PATH", "R_PROFILE", "R_ENVIRON", "TCLLIBPATH", "GUILE_LOAD_PATH",
        // Programs that run what a variable says, and libraries that load it.
        "LESSOPEN", "LESSCLOSE", "SSH_ASKPASS", "OPENSSL_CONF", "OPENSSL_ENGINES",
        "OPENSSL_MODULES", "SSLKEYLOGFILE",
    };

    /// <summary><c>db.password</c> becomes <c>DB_PASSWORD</c>: runs of anything but ASCII letters and digits become one <c>_</c>, letters upper case; a name that would begin
    /// with a digit gets a <c>_</c> in front.</summary>
    public static string From(string key)
    {
        var name = new StringBuilder(key.Length + 1);
        foreach (var c in key)
        {
            if (char.IsAsciiLetterOrDigit(c)) name.Append(char.ToUpperInvariant(c));
            else if (name.Length == 0 || name[^1] != '_') name.Append('_');
        }
        if (name.Length == 0) return "_";
        if (char.IsAsciiDigit(name[0])) name.Insert(0, '_');
        return name.ToString();
    }

    /// <summary>Whether setting the variable would change how programs load or what they trust, so that a configuration key must not reach it.</summary>
    public static bool IsRefused(string name) =>
        s_refused.Contains(name) || s_refusedPrefixes.Any(p => name.StartsWith(p, StringComparison.OrdinalIgnoreCase));
}
