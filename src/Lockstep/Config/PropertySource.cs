using System.Collections.Immutable;

namespace Lockstep.Config;

/// <summary>One document of one file, flattened: keys like <c>db.hosts[0].name</c> in the order of the file, each once.</summary>
/// <param name="Name">The path in the repository; of a multi-document file with the number of the document: <c>app.yml (document #1)</c>, from 0.</param>
internal sealed record PropertySource(string Name, string Path, int Document, ImmutableArray<PropertyEntry> Entries);

/// <summary>One key with its value and the place of the value; lines and columns count from 1.</summary>
/// <param name="Scalar">The value, as one object for all documents that take it as it is.</param>
internal readonly record struct PropertyEntry(string Key, ConfigValue.Scalar Scalar, int Line, int Column)
{
    public PropertyEntry(string key, ScalarValue value, int line, int column)
        : this(key, new ConfigValue.Scalar(value), line, column)
    {
    }

    public ScalarValue Value => Scalar.Value;
}
