using System.Text.Json;

namespace Lockstep.Config;

internal enum ScalarKind { String, Boolean, Number }

/// <summary>A scalar as a file gives it. A number's text is valid JSON (as written where it was, canonical otherwise); a boolean's is <c>true</c> or <c>false</c>;
/// null and empty collections are the empty string.</summary>
internal readonly record struct ScalarValue(ScalarKind Kind, string Text)
{
    public void WriteTo(Utf8JsonWriter json)
    {
        if (Kind == ScalarKind.String) json.WriteStringValue(Text);
        else json.WriteRawValue(Text);
    }
}
