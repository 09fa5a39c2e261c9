using Lockstep.Client;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Compat.Spring;

/// <summary>Query parameters. Those that are not known are left alone, as in Spring.</summary>
internal static class Parameters
{
    public static bool Flag(HttpRequest request, string name, bool otherwise) => request.Query[name].ToString().ToLowerInvariant() switch
    {
        "" => otherwise,
        "true" or "on" or "yes" or "1" => true,
        "false" or "off" or "no" or "0" => false,
        _ => throw new LockstepException(ErrorCode.BadRequest, $"the query parameter '{name}' must be true or false"),
    };
}
