namespace Lockstep.Client;

/// <summary>A typed view of a <see cref="LockstepStore"/>'s document: made anew with each change, and the old one while the new document does not parse. Reads never wait and never fail.</summary>
/// <typeparam name="T">What the document is parsed to; best immutable, as readers share it.</typeparam>
public sealed class LockstepView<T> : IStoreView
    where T : notnull
{
    private readonly Func<Snapshot, T> _parse;
    private volatile State _state;

    internal LockstepView(Func<Snapshot, T> parse, Snapshot snapshot)
    {
        _parse = parse;
        _state = new State(parse(snapshot), null);
    }

    private sealed record State(T Value, string? Error);

    /// <summary>The newest document that parsed.</summary>
    public T Value => _state.Value;

    /// <summary>The name of the exception type that the newest document was refused with; null when <see cref="Value"/> is of the newest document.</summary>
    public string? Error => _state.Error;

    string? IStoreView.Update(Snapshot snapshot)
    {
        try
        {
            _state = new State(_parse(snapshot), null);
        }
        catch (Exception e)
        {
            // The type only: a parser's message quotes what it could not read.
            _state = _state with { Error = e.GetType().Name };
        }
        return _state.Error;
    }
}
