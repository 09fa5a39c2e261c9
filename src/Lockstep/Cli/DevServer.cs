using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Cli;

/// <summary>What a development server left in <c>.lockstep/</c>: its token, and its address while it runs.</summary>
internal sealed record DevServer(string? Address, string AddressPath, string TokenPath)
{
    /// <summary>The nearest one in or above a directory.</summary>
    public static DevServer? Find(string directory)
    {
        for (var at = directory; at is not null; at = Path.GetDirectoryName(at))
        {
            var address = Path.Combine(at, ".lockstep", "address");
            var token = Path.Combine(at, ".lockstep", "token");
            if (!File.Exists(token)) continue;
            if (!File.Exists(address)) return new(null, address, token);
            try
            {
                // Somebody else's server would hand its environment to what is run here.
                using (var file = File.OpenHandle(address))
                    if (Posix.IsForeign(file)) throw new LockstepException(ErrorCode.BadRequest, $"{address} belongs to another user and is not trusted; say --addr and --token-file");
                var url = BoundedFile.ReadText(address, 4096, "an address").Trim();
                // `lockstep dev` listens nowhere else; a checkout could bring an address of its own and wait for tokens.
                return Uri.TryCreate(url, UriKind.Absolute, out var uri) && uri is { IsLoopback: true, Scheme: "http" }
                    ? new(url, address, token)
                    : throw new LockstepException(ErrorCode.BadRequest, $"{address} is not a loopback address such as http://127.0.0.1:7400; delete it, or start `lockstep dev` again");
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new LockstepException(ErrorCode.BadRequest, $"{address} can't be read: {e.Message}", e);
            }
        }
        return null;
    }
}
