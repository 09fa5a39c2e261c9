using System.Text;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary>Reads what users hand in, up to a limit.</summary>
internal static class BoundedFile
{
    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public static string ReadText(string path, int maxBytes, string what)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        return ReadText(file, maxBytes, what, path);
    }

    public static string ReadText(Stream stream, int maxBytes, string what, string name)
    {
        var buffer = new byte[maxBytes + 1];
        var length = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        if (length > maxBytes) throw new LockstepException(ErrorCode.TooLarge, $"{name} is longer than {maxBytes} bytes, which is the limit for {what}");
        try
        {
            return s_strict.GetString(buffer, 0, length);
        }
        catch (DecoderFallbackException)
        {
            throw new LockstepException(ErrorCode.BadRequest, $"{name} is not UTF-8 text: encode binary values first, as base64 for one");
        }
    }
}
