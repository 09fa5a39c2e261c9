using System.Collections.Immutable;
using System.Text;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Placeholders;
using Lockstep.Releases;
using Lockstep.Settings;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    // Sources repeat each other's keys, so that they come to more than the document that is made of them.
    private const long CharactersPerRead = 2L * ConfigLimits.CharactersPerDocument;

    // No key that a placeholder could name: in one braces balance.
    private const string FileKey = "}";

    /// <summary>The property sources of a service, with its secrets filled in and every other placeholder as written.</summary>
    /// <exception cref="LockstepException">forbidden, too, when one of the secrets may not be revealed to the caller.</exception>
    public async Task<SourcesRead> ReadSourcesAsync(CallContext call, SourcesQuery query, CancellationToken cancellationToken)
    {
        var found = await FindSourcesAsync(call, query, cancellationToken);
        var templates = found.Sources.ConvertAll(source => source.Entries.Select(e => Template(source, e)).ToList());
        var secrets = await DisclosedAsync(call, (query, found.State), templates.SelectMany(t => t), cancellationToken);
        return new SourcesRead(
            [.. found.Sources.Zip(templates, (source, values) => new ServedSource(source, [.. values.Select(v => DocumentRenderer.Reveal(v.Value, secrets))]))],
            found.Commits);
    }

    /// <summary>The values of some keys, each from the first source that has it.</summary>
    /// <param name="call">Who asks.</param>
    /// <param name="query">What for.</param>
    /// <param name="select">Which keys, in the order they are wanted in.</param>
    /// <param name="expand">Whether placeholders are filled in from the same sources; those that name no key stay as they are.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="LockstepException">bad-request when placeholders lead in a circle; forbidden when one of the secrets may not be revealed.</exception>
    public async Task<List<(string Key, ScalarValue Value)>> ReadMergedAsync(
        CallContext call, SourcesQuery query, Func<IReadOnlyList<PropertySource>, IReadOnlyCollection<string>> select, bool expand, CancellationToken cancellationToken)
    {
        var found = await FindSourcesAsync(call, query, cancellationToken);
        var keys = select(found.Sources);
        var entries = FirstOfEach(found.Sources);
        var values = expand
            ? Expanded(entries, keys)
            : [.. keys.Select(key => new ResolvedEntry(key, Template(entries[key], key), entries[key].Location))];
        var secrets = await DisclosedAsync(call, (query, found.State), values, cancellationToken);
        return [.. values.Select(v => (v.Key, Kept(DocumentRenderer.Reveal(v.Value, secrets), v, entries)))];
    }

    /// <summary>A file of the repository, found in the search locations of a service. As text its placeholders and references to secrets are filled in.</summary>
    /// <exception cref="LockstepException">not-found; forbidden, too, when the file, or a secret in it, is not the caller's to read.</exception>
    public async Task<FileRead> ReadServiceFileAsync(CallContext call, SourcesQuery query, FileQuery file, CancellationToken cancellationToken)
    {
        await RequireSourcesAsync(call, query);
        var released = Lane.Live.Release.At;
        foreach (var label in LabelsOf(query))
        {
            var sources = await SourcesAsync(query.Key(label), cancellationToken);
            if (await Sources.FindFileAsync(query.Key(label), sources.State, file.Path, cancellationToken) is not { } found) continue;
            await RequireAsync(call, Permission.ConfigRead, Subject.OfPath(found.Path), "config.file");
            var (modified, notModified) = Modified(released, file.ModifiedSince);
            if (notModified) return new FileRead(default, modified, NotModified: true);
            var content = await Sources.ReadFileAsync(found, cancellationToken);
            if (file.Charset is { } charset) content = await FilledAsync(call, (query, sources), (found.Path, charset.GetString(content.Span)), cancellationToken);
            return new FileRead(content, modified, NotModified: false);
        }
        // What is not there is denied all the same to who may not read it.
        await RequireAsync(call, Permission.ConfigRead, Subject.OfPath(file.Path), "config.file");
        throw new LockstepException(ErrorCode.NotFound, $"there is no file '{file.Path}' in the search locations of {query}");
    }

    private async Task<ReadOnlyMemory<byte>> FilledAsync(
        CallContext call, (SourcesQuery Query, SourcesAt Sources) from, (string Path, string Text) file, CancellationToken cancellationToken)
    {
        if (TemplateParser.IsPlain(file.Text)) return Encoding.UTF8.GetBytes(file.Text);
        ThrowIfInvalid(from.Query, from.Sources.Set.Errors);
        var entries = FirstOfEach([.. from.Sources.Set.Sources]);
        entries[FileKey] = new MergedEntry(new ConfigValue.Scalar(new ScalarValue(ScalarKind.String, file.Text)), new SourceLocation(file.Path, 1));
        var values = Expanded(entries, [FileKey]);
        var secrets = await DisclosedAsync(call, (from.Query, from.Sources.State), values, cancellationToken);
        return Encoding.UTF8.GetBytes(DocumentRenderer.Reveal(values[0].Value, secrets).Text);
    }

    private async Task<(List<PropertySource> Sources, ReleaseState State, ImmutableArray<string> Commits)> FindSourcesAsync(
        CallContext call, SourcesQuery query, CancellationToken cancellationToken)
    {
        await RequireSourcesAsync(call, query);
        var labels = LabelsOf(query);
        var found = new List<SourcesAt>(labels.Length);
        LockstepException? missing = null;
        foreach (var label in labels)
        {
            try
            {
                found.Add(await SourcesAsync(query.Key(label), cancellationToken));
                // The tracked branch may be asked for before it exists; by its name, that is a label like any other.
                if (found[^1].Commit.Length == 0 && !query.Labels.IsEmpty) throw new LockstepException(ErrorCode.NotFound, $"the branch '{TrackedBranch}' does not exist");
            }
            catch (LockstepException e) when (e.Code == ErrorCode.NotFound && labels.Length > 1 && Options.Spring.ContinueOnMissingLabel)
            {
                missing = e;
            }
        }
        if (found.Count == 0) throw missing!;
        ThrowIfInvalid(query, [.. found.SelectMany(f => f.Set.Errors)]);
        // The overrides stand once, above all labels.
        var sources = found.SelectMany((f, i) => f.Set.Sources.Where(s => i == 0 || s.Path.Length > 0)).ToList();
        if (sources.Sum(s => s.Entries.Sum(e => (long)e.Key.Length + e.Value.Text.Length)) > CharactersPerRead)
            throw new LockstepException(ErrorCode.InvalidConfig, $"the files of {query} come to more than {CharactersPerRead:N0} characters");
        return (sources, found[0].State, [.. found.Select(f => f.Commit).Where(c => c.Length > 0)]);
    }

    // A document that does not resolve now is served as it last did, to Spring's clients as to others.
    private async Task<SourcesAt> SourcesAsync(DocumentKey key, CancellationToken cancellationToken)
    {
        var live = Lane.Live;
        RequireFresh(live);
        var found = await Sources.AtAsync(key, live.Release, cancellationToken);
        if (!found.Set.HasOwnFile || !IsFollowed(live, key) || !NameRules.IsName(key.Service) || !NameRules.IsEnvironmentList(key.Environment)) return found;
        var state = await Lane.KnowAsync(key, IsListed(key), cancellationToken);
        state.Usage.LastServedAt = Time.GetUtcNow().ToUnixTimeMilliseconds();
        return state.Invalid is { } invalid ? await Sources.AtAsync(key, invalid.ValidAt, cancellationToken) : found;
    }

    private async Task RequireSourcesAsync(CallContext call, SourcesQuery query)
    {
        foreach (var service in query.Key(null).Services)
            await RequireAsync(call, Permission.ConfigRead, query.Key(null) with { Service = service }, "config.read");
    }

    // Null is the tracked branch.
    private ImmutableArray<string?> LabelsOf(SourcesQuery query)
    {
        if (!query.Labels.IsEmpty) return [.. query.Labels.Select(label => label == TrackedBranch ? null : label)];
        var release = Lane.Live.Release;
        var label = Options.Spring.DefaultLabel ?? TrackedBranch;
        if (label == "main" && Options.Spring.TryMaster && release.CommitOf(label) is null && release.CommitOf("master") is not null) label = "master";
        return [label == TrackedBranch ? null : label];
    }

    // Authorised, bound and on the record: whoever has what this returns may fill the values in.
    private async Task<ImmutableDictionary<Secrets.SecretRef, BoundSecret>> DisclosedAsync(
        CallContext call, (SourcesQuery Query, ReleaseState State) from, IEnumerable<ResolvedEntry> values, CancellationToken cancellationToken)
    {
        var referring = values.Where(v => v.Value.References.Any()).ToList();
        GateMetrics.Reads.Add(1, GateMetrics.Served);
        if (referring.Count == 0) return ImmutableDictionary<Secrets.SecretRef, BoundSecret>.Empty;
        foreach (var id in referring.SelectMany(v => v.Value.References).Select(r => r.Id).Distinct())
            await RequireAsync(call, Permission.SecretReveal, Subject.Of(id), "config.read");
        var (bound, errors) = await new SecretBinder(Secrets).BindAsync(referring, ReleaseResolver.ActiveAt(from.State, Lane.Live.Release), cancellationToken);
        ThrowIfInvalid(from.Query, errors);
        if (referring.Sum(v => v.Value.References.Sum(r => (long)bound[r].Value.LengthOf(r.Field))) > CharactersPerRead)
            throw new LockstepException(ErrorCode.InvalidConfig, $"the secrets of {from.Query} come to more than {CharactersPerRead:N0} characters");
        var disclosed = referring.SelectMany(v => v.Value.References).Select(r => $"{r.Id}@{bound[r].Version}").Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal);
        await RecordDisclosureAsync(
            call, Entry(call, "config.read", from.Query.ToString()) with { Release = from.State.Number, Secrets = [.. disclosed] }, cancellationToken);
        return bound;
    }

    private static SortedDictionary<string, MergedEntry> FirstOfEach(IReadOnlyList<PropertySource> sources)
    {
        var entries = new SortedDictionary<string, MergedEntry>(StringComparer.Ordinal);
        foreach (var source in sources)
            foreach (var entry in source.Entries) entries.TryAdd(entry.Key, new MergedEntry(entry.Scalar, new SourceLocation(source.Path, entry.Line)));
        return entries;
    }

    private static ImmutableArray<ResolvedEntry> Expanded(SortedDictionary<string, MergedEntry> entries, IReadOnlyCollection<string> keys)
    {
        // A reference that is none is a mistake in a file; what is wrong with placeholders beyond that is, as in Spring, a mistake of who asks for them.
        foreach (var key in keys) Template(entries[key], key);
        var expanded = new PlaceholderExpander(entries).Expand(keys);
        return expanded.Errors.IsEmpty ? expanded.Values : throw new LockstepException(ErrorCode.BadRequest, expanded.Errors[0].ToString());
    }

    // Text stays text for Spring, also when it is made of a number.
    private static ScalarValue Kept(ScalarValue value, ResolvedEntry entry, SortedDictionary<string, MergedEntry> entries) =>
        entries[entry.Key].Value.Kind == ScalarKind.String && entry.Value is ConfigValue.Scalar ? new ScalarValue(ScalarKind.String, value.Text) : value;

    private static ResolvedEntry Template(PropertySource source, PropertyEntry entry)
    {
        var location = new SourceLocation(source.Path, entry.Line);
        return new ResolvedEntry(entry.Key, Template(new MergedEntry(entry.Scalar, location), entry.Key), location);
    }

    private static ConfigValue Template(MergedEntry entry, string key)
    {
        if (entry.Value.Kind != ScalarKind.String || TemplateParser.IsPlain(entry.Value.Text)) return new ConfigValue.Scalar(entry.Value);
        try
        {
            return TemplateParser.References(entry.Value.Text) switch
            {
                [{ Ref: { } whole }] => new ConfigValue.Secret(whole),
                var parts when parts.Any(p => p.Ref is not null) => new ConfigValue.Text(parts),
                _ => new ConfigValue.Scalar(entry.Value),
            };
        }
        catch (TemplateException e)
        {
            throw new LockstepException(ErrorCode.InvalidConfig, new ConfigError(entry.Location, key == FileKey ? null : key, e.Message).ToString(), e);
        }
    }

    private static void ThrowIfInvalid(SourcesQuery query, ImmutableArray<ConfigError> errors)
    {
        if (!errors.IsEmpty) throw DoesNotResolve(query.ToString(), errors);
    }

    // Times on the wire are whole seconds. In the second of the release itself an earlier one is told, since another release may follow within it.
    private (DateTimeOffset Modified, bool NotModified) Modified(DateTimeOffset released, DateTimeOffset? since)
    {
        var second = DateTimeOffset.FromUnixTimeSeconds(released.ToUnixTimeSeconds());
        var settled = Time.GetUtcNow() >= second.AddSeconds(1);
        return (settled ? second : second.AddSeconds(-1), settled && since >= second);
    }
}
