namespace Lockstep.Storage;

/// <summary>Numbers without gaps: the row is locked until the transaction that takes a number ends, and an undone operation gives it back.</summary>
internal static class Counters
{
    /// <summary>Takes the next number; the first is 1. Only inside a write.</summary>
    public static long Next(SqlSession session, string name) => session.First(
        "INSERT INTO meta (name, number) VALUES (@name, 1) ON CONFLICT (name) DO UPDATE SET number = meta.number + 1 RETURNING number",
        r => r.GetInt64(0), ("@name", name));

    /// <summary>The number taken last; 0 before the first.</summary>
    public static long Current(SqlSession session, string name) => Meta.GetNumber(session, name) ?? 0;
}
