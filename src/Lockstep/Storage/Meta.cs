namespace Lockstep.Storage;

/// <summary>Single values by name: a text, a number or bytes each.</summary>
internal static class Meta
{
    public static string? GetText(SqlSession session, string name) =>
        session.First("SELECT text FROM meta WHERE name = @name", r => r.TextOrNull(0), ("@name", name));

    public static long? GetNumber(SqlSession session, string name) =>
        session.First("SELECT number FROM meta WHERE name = @name", r => r.NumberOrNull(0), ("@name", name));

    public static byte[]? GetData(SqlSession session, string name) =>
        session.First("SELECT data FROM meta WHERE name = @name", r => r.DataOrNull(0), ("@name", name));

    public static void SetText(SqlSession session, string name, string? text) => session.Execute(
        "INSERT INTO meta (name, text) VALUES (@name, @text) ON CONFLICT (name) DO UPDATE SET text = excluded.text",
        ("@name", name), ("@text", text));

    public static void SetNumber(SqlSession session, string name, long? number) => session.Execute(
        "INSERT INTO meta (name, number) VALUES (@name, @number) ON CONFLICT (name) DO UPDATE SET number = excluded.number",
        ("@name", name), ("@number", number));

    public static void SetData(SqlSession session, string name, byte[]? data) => session.Execute(
        "INSERT INTO meta (name, data) VALUES (@name, @data) ON CONFLICT (name) DO UPDATE SET data = excluded.data",
        ("@name", name), ("@data", data));
}
