namespace Lockstep.Client;

/// <summary>A view without its type.</summary>
internal interface IStoreView
{
    /// <summary>Parses the new document; the name of the exception type when it does not parse.</summary>
    string? Update(Snapshot snapshot);
}
