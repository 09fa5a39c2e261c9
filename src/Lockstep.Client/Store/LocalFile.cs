using System.Text.Json;

namespace Lockstep.Client;

/// <summary>A JSON file of values that somebody edits. Looked at by its time and length: a watch of the file system misses what editors, mounts and symbolic links do.</summary>
internal sealed class LocalFile(string path)
{
    private const int MaxBytes = 1024 * 1024;

    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(250);
    private static readonly JsonDocumentOptions s_options = new() { AllowDuplicateProperties = false, CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    private (DateTime Written, long Length) _read;

    /// <summary>Why the file as it is now was not taken; null: it was.</summary>
    public string? Problem { get; private set; }

    /// <summary>A value as the text it is.</summary>
    public static JsonElement Text(string value) => JsonElement.Parse($"\"{JsonEncodedText.Encode(value)}\"");

    /// <summary>The values, flat.</summary>
    /// <exception cref="LockstepException">not-found or invalid-config.</exception>
    public Dictionary<string, JsonElement> Read()
    {
        try
        {
            using var file = File.OpenHandle(path, share: FileShare.ReadWrite | FileShare.Delete);
            _read = Stamp(file);
            if (_read.Length > MaxBytes) throw new LockstepException(ErrorCode.InvalidConfig, $"{path} is larger than 1 MiB");
            var bytes = new byte[_read.Length];
            var count = RandomAccess.Read(file, bytes, 0);
            var start = bytes.AsSpan(0, count).StartsWith("\uFEFF"u8) ? 3 : 0;
            using var document = JsonDocument.Parse(bytes.AsMemory(start, count - start), s_options);
            if (document.RootElement.ValueKind != JsonValueKind.Object) throw new LockstepException(ErrorCode.InvalidConfig, $"{path} is not a JSON object of keys and values");
            var values = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
            Flatten(document.RootElement, "", values);
            return values;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            _read = default;
            throw new LockstepException(ErrorCode.NotFound, $"there is no {path}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.InvalidConfig, $"{path} can't be read: {e.Message}", e);
        }
        catch (InvalidOperationException)
        {
            throw new LockstepException(ErrorCode.InvalidConfig, $"{path} holds text that is not Unicode");
        }
        catch (JsonException e)
        {
            // Its own text may quote the file, and so a secret.
            throw new LockstepException(ErrorCode.InvalidConfig, FormattableString.Invariant($"{path} is not valid JSON at line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}"));
        }
    }

    /// <summary>Tells the values each time the file changed and stood still for one look; null when what is there now can't be taken.</summary>
    public async Task FollowAsync(Action<Dictionary<string, JsonElement>?> changed, TimeProvider time, CancellationToken cancellationToken)
    {
        var last = _read;
        try
        {
            while (true)
            {
                await Task.Delay(s_poll, time, cancellationToken);
                var now = Look();
                if (now == last && now != _read) Tell(changed);
                last = now;
            }
        }
        catch (OperationCanceledException)
        {
            // The store is ending.
        }
    }

    private void Tell(Action<Dictionary<string, JsonElement>?> changed)
    {
        Dictionary<string, JsonElement>? values = null;
        try
        {
            values = Read();
            Problem = null;
        }
        catch (LockstepException e)
        {
            Problem = e.Message;
        }
        changed(values);
    }

    private (DateTime Written, long Length) Look()
    {
        try
        {
            using var file = File.OpenHandle(path, share: FileShare.ReadWrite | FileShare.Delete);
            return Stamp(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return default;
        }
    }

    private static (DateTime Written, long Length) Stamp(Microsoft.Win32.SafeHandles.SafeFileHandle file) => (File.GetLastWriteTimeUtc(file), RandomAccess.GetLength(file));

    // Keys as the server makes them of nested configuration: a.b[0].c; null and what is empty are the empty text.
    private static void Flatten(JsonElement element, string key, Dictionary<string, JsonElement> values)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object when key.Length == 0 || element.GetPropertyCount() > 0:
                foreach (var property in element.EnumerateObject()) Flatten(property.Value, key.Length == 0 ? property.Name : $"{key}.{property.Name}", values);
                break;
            case JsonValueKind.Array when element.GetArrayLength() > 0:
                var index = 0;
                foreach (var item in element.EnumerateArray()) Flatten(item, FormattableString.Invariant($"{key}[{index++}]"), values);
                break;
            case JsonValueKind.Object or JsonValueKind.Array or JsonValueKind.Null:
                values[key] = Text("");
                break;
            default:
                // Here, where it can be refused: what is no Unicode would throw in whoever reads the value.
                if (element.ValueKind == JsonValueKind.String) element.GetString();
                values[key] = element.Clone();
                break;
        }
    }
}
