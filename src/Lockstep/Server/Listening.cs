using Lockstep.Client;
using Lockstep.Settings;
using Microsoft.AspNetCore.Builder;

namespace Lockstep.Server;

internal static class Listening
{
    /// <summary>Starts a listener; a port that is taken is named with the setting to change.</summary>
    public static async Task StartAsync(WebApplication app, ListenAddress listen, string setting, CancellationToken cancellationToken)
    {
        try
        {
            await app.StartAsync(cancellationToken);
        }
        catch (IOException e)
        {
            await app.DisposeAsync();
            throw new LockstepException(ErrorCode.Unavailable, $"{listen} can't be listened on: {e.Message} Choose another with the setting '{setting}'.", e);
        }
    }
}
