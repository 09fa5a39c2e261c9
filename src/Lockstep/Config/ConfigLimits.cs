namespace Lockstep.Config;

/// <summary>What one repository may ask of the server. Beyond a limit the documents concerned are invalid, with the reason; nothing else suffers.</summary>
internal static class ConfigLimits
{
    /// <summary>A config file, in bytes.</summary>
    public const int FileBytes = 4 * 1024 * 1024;

    /// <summary>Keys that one file may come to after aliases are expanded.</summary>
    public const int KeysPerFile = 50_000;

    /// <summary>Characters that the keys and values of one file may come to after aliases are expanded.</summary>
    public const int CharactersPerFile = 16 * 1024 * 1024;

    /// <summary>Nesting of mappings and sequences.</summary>
    public const int Depth = 64;

    /// <summary>Characters of one value after placeholders are expanded.</summary>
    public const int CharactersPerValue = 1024 * 1024;

    /// <summary>Characters of all values of one document after placeholders are expanded.</summary>
    public const int CharactersPerDocument = 8 * 1024 * 1024;

    /// <summary>Nesting of placeholders.</summary>
    public const int PlaceholderDepth = 32;

    /// <summary>Configured search paths, after placeholders and wildcards.</summary>
    public const int SearchLocations = 256;
}
