using System.Runtime.CompilerServices;
using Shouldly;

namespace Lockstep.Tests.Client;

/// <summary>Compares text with a file kept beside the tests. <c>UPDATE_GOLDEN=1</c> writes the file anew.</summary>
internal static class Golden
{
    public static void Check(string file, string actual)
    {
        var path = Path.Combine(Root(), file);
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1") File.WriteAllText(path, actual);
        File.Exists(path).ShouldBeTrue($"{path} is missing: run the test with UPDATE_GOLDEN=1 and look at the result");
        actual.ShouldBe(File.ReadAllText(path), $"run the test with UPDATE_GOLDEN=1 if the change of {file} is meant");
    }

    private static string Root([CallerFilePath] string here = "") => Path.GetDirectoryName(Path.GetDirectoryName(here))!;
}
