using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary>What a verb prints: with --json one document (or a line each, for streams), else text for people. Errors and remarks go to stderr.</summary>
internal sealed class Output(bool json, TextWriter output, TextWriter error)
{
    private static readonly JsonWriterOptions s_writer = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public bool Json { get; } = json;

    public TextWriter Text { get; } = output;

    public static Output For(ParseResult parsed) => new(
        // Asked of the tokens too: a command line with an error in it still says how to print that.
        parsed.GetResult(GlobalOptions.Json) is { } given && !given.Errors.Any() && parsed.GetValue(GlobalOptions.Json),
        parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);

    /// <summary>Prints a result: as JSON, or as <paramref name="human"/> does.</summary>
    public void Result<T>(T value, JsonTypeInfo<T> type, Action<TextWriter> human)
    {
        if (Json) Text.WriteLine(ToJson(value, type));
        else human(Text);
    }

    /// <summary>Prints a remark for people on stderr.</summary>
    public void Remark(string text) => error.WriteLine("lockstep: " + Printable(text));

    /// <summary>Prints a failure on stderr.</summary>
    public void Fail(LockstepException e)
    {
        if (Json)
        {
            var problem = new Problem { Title = e.Code.Title, Status = e.Code.Status, Code = e.Code.Name, Detail = e.Message, Errors = e.Errors.Count > 0 ? e.Errors : null };
            error.WriteLine(ToJson(problem, LockstepJson.Default.Problem));
            return;
        }
        Remark(e.Message);
        foreach (var place in e.Errors) error.WriteLine("  " + Printable(place.ToString()));
    }

    /// <summary>Prints rows in aligned columns, the heads above them.</summary>
    public static void Table(TextWriter text, string[] heads, IEnumerable<string?[]> rows)
    {
        string[][] all = [heads, .. rows.Select(r => r.Select(c => Printable(c ?? "-")).ToArray())];
        var widths = heads.Select((_, i) => all.Max(r => r[i].Length)).ToArray();
        foreach (var row in all)
            text.WriteLine(string.Join("  ", row.Select((c, i) => c.PadRight(widths[i]))).TrimEnd());
    }

    public static string Time(DateTimeOffset? time) => time?.ToUniversalTime().ToString("yyyy-MM-dd HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture) ?? "-";

    public static string List(IReadOnlyList<string>? items) => items is null ? "*" : items.Count == 0 ? "-" : string.Join(",", items);

    public static string ToJson<T>(T value, JsonTypeInfo<T> type)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, s_writer)) JsonSerializer.Serialize(writer, value, type);
        return System.Text.Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    /// <summary>Text from elsewhere, without what could steer a terminal.</summary>
    public static string Printable(string text) =>
        text.Any(char.IsControl) ? string.Concat(text.Select(c => c == '\n' ? " " : char.IsControl(c) ? "?" : c.ToString())) : text;
}
