using Lockstep.Robustness;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;

namespace Lockstep.Benchmarks;

/// <summary>The limit: Kestrel and nothing else, writing the same bytes to whoever asks. It runs in a process of its own.</summary>
internal static class BareServer
{
    public static async Task<int> RunAsync(int port, string bodyFile)
    {
        var body = await File.ReadAllBytesAsync(bodyFile);
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.ListenLocalhost(port));
        await using var app = builder.Build();
        app.Run(context =>
        {
            context.Response.ContentType = "application/json";
            context.Response.ContentLength = body.Length;
            return context.Response.Body.WriteAsync(body, context.RequestAborted).AsTask();
        });
        await app.RunAsync();
        return 0;
    }

    public static System.Diagnostics.ProcessStartInfo Command(int port, string bodyFile) => Tool.Start(Self, ["bare", $"{port}", bodyFile]);

    /// <summary>This program.</summary>
    public static string Self => Environment.ProcessPath!;
}
