using System.Text.Encodings.Web;
using System.Text.Json;
using Lockstep.Client;

namespace Lockstep.Http;

/// <summary>The wire types as the server writes them: nothing is embedded in HTML here, so quotes and letters stay readable.</summary>
internal static class WireJson
{
    public static readonly LockstepJson Context = new(new JsonSerializerOptions(LockstepJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
