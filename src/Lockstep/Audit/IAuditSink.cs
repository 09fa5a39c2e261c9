namespace Lockstep.Audit;

/// <summary>Where the record goes beside the database. Used by one thread, which may block in it. What fails, fails with an exception, and may be tried again.</summary>
internal interface IAuditSink : IDisposable
{
    /// <summary>What people know it by.</summary>
    string Name { get; }

    /// <summary>Opens it, and tells the last entry of the node that it has.</summary>
    /// <param name="node">Whose entries it gets.</param>
    /// <param name="record">The last entry of the record, where what keeps nothing begins.</param>
    AuditTail Open(string node, AuditTail record);

    /// <summary>Takes whole lines; when it returns they are durable, as far as that is possible. After an exception none of them is there, or the next call takes them away.</summary>
    /// <param name="lines">One or more lines.</param>
    /// <param name="first">The number of the first entry.</param>
    /// <param name="last">The last entry.</param>
    void Write(ReadOnlyMemory<byte> lines, long first, AuditTail last);
}
