using System.ComponentModel;
using Xunit.Abstractions;

namespace Lockstep.Robustness;

/// <summary>Node.js, with which programs of others run.</summary>
internal static class Node
{
    /// <summary>Whether it is here with npm; where all must run, it has to be.</summary>
    public static async Task<bool> IsHereAsync(ITestOutputHelper output)
    {
        try
        {
            return (await Tool.RunAsync("node", "--version")).ExitCode == 0 && (await Tool.RunAsync("npm", "--version")).ExitCode == 0;
        }
        catch (Win32Exception) when (Environment.GetEnvironmentVariable("CI") != "true")
        {
            output.WriteLine("skipped: node and npm are not here; install Node.js 20 or newer.");
            return false;
        }
    }
}
