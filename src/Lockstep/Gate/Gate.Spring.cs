using System.Collections.Immutable;
using System.Text;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Placeholders;
using Lockstep.Releases;
using Lockstep.Secrets;
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
        var merged = SourceMerge.Merge(found.Sources);
        bool IsHidden(PropertyEntry entry) => !merged.TryGetValue(entry.Key, out var first) || !ReferenceEquals(first.Scalar, entry.Scalar);
        var entries = found.Sources.Select(s => s.Entries.Select(e => (IsHidden: IsHidden(e), Value: Template(s, e, IsHidden(e)))).ToList()).ToList();
        var shown = entries.SelectMany(s => s).Where(e => !e.IsHidden).Select(e => e.Value);
        var hidden = entries.SelectMany(s => s).Where(e => e.IsHidden).Select(e => e.Value);
        var secrets = await DisclosedAsync(call, (query, found), (shown, hidden), cancellationToken);
        return new SourcesRead(
            [.. found.Sources.Zip(entries, (source, values) => new ServedSource(source, [.. values.Select(v => Revealed(v.Value.Value, secrets))]))],
            found.Commits, found.Head);
    }

    /// <summary>The values of some keys, each from the first source that has it.</summary>
    /// <param name="call">Who asks.</param>
    /// <param name="query">What for.</param>
    /// <param name="select">Which keys, in the order they are wanted in.</param>
    /// <param name="expand">Whether placeholders are filled in from the same sources; those that name no key stay as they are.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="LockstepException">bad-request when placeholders lead in a circle; forbidden when one of the secrets may not be revealed.</exception>
    public async Task<MergedRead> ReadMergedAsync(
        CallContext call, SourcesQuery query, Func<IReadOnlyList<PropertySource>, IReadOnlyCollection<string>> select, bool expand, CancellationToken cancellationToken)
    {
        var found = await FindSourcesAsync(call, query, cancellationToken);
        var keys = select(found.Sources);
        var entries = FirstOfEach(found.Sources);
        var values = expand
            ? Expanded(entries, keys)
            : [.. keys.Select(key => new ResolvedEntry(key, Template(entries[key], key), entries[key].Location))];
        var secrets = await DisclosedAsync(call, (query, found), (values, []), cancellationToken);
        return new MergedRead([.. values.Select(v => (v.Key, Kept(DocumentRenderer.Reveal(v.Value, secrets), v, entries)))], found.Head);
    }

    /// <summary>A file of the repository, found in the search locations of a service. As text its placeholders and references to secrets are filled in.</summary>
    /// <exception cref="LockstepException">not-found; forbidden, too, when the file, or a secret in it, is not the caller's to read.</exception>
    public async Task<FileRead> ReadServiceFileAsync(CallContext call, SourcesQuery query, FileQuery file, CancellationToken cancellationToken)
    {
        await RequireSourcesAsync(call, query);
        var asked = Subject.OfPath(file.Path);
        var (live, labels) = await LookAsync(query, cancellationToken);
        foreach (var label in labels)
        {
            if (label.Missing is not null && labels.Count > 1 && Options.Spring.ContinueOnMissingLabel) continue;
            var sources = label.Sources ?? throw label.Missing!;
            if (await Sources.FindFileAsync(query.Key(label.Label.Ref), label.Label.Name, sources.State, file.Path, cancellationToken) is not { } found) continue;
            // Where it lies is no business of who may read neither.
            if (!call.Caller.Can(Permission.ConfigRead, Subject.OfPath(found.Path)))
                await DenyAsync(call, Permission.ConfigRead, call.Caller.Can(Permission.ConfigRead, asked) ? Subject.OfPath(found.Path) : asked, "config.file");
            var content = await Sources.ReadFileAsync(found, cancellationToken);
            var from = new FoundSources([.. sources.Set.Sources], live, sources.State, [], HeadOf(live, [sources]));
            var values = file.Charset is { } charset ? Filled((query, sources), found.Path, FileText.Decode(content.Span, charset)) : [];
            await RequireRevealAsync(call, values);
            var (modified, notModified) = Modified(live.Release.At, file.ModifiedSince);
            if (notModified) return new FileRead(default, modified, NotModified: true, from.Head);
            if (values is [var text])
            {
                var secrets = await DisclosedAsync(call, (query, from), (values, []), cancellationToken);
                content = Encoding.UTF8.GetBytes(DocumentRenderer.Reveal(text.Value, secrets).Text);
            }
            return new FileRead(content, modified, NotModified: false, from.Head);
        }
        // What is not there is denied all the same to who may not read it.
        await RequireAsync(call, Permission.ConfigRead, asked, "config.file");
        throw new LockstepException(ErrorCode.NotFound, $"there is no file '{file.Path}' in the search locations of {query}");
    }

    // The text of a file as one value, its placeholders filled in.
    private static ImmutableArray<ResolvedEntry> Filled((SourcesQuery Query, SourcesAt Sources) from, string path, string text)
    {
        var file = new MergedEntry(new ConfigValue.Scalar(new ScalarValue(ScalarKind.String, text)), new SourceLocation(path, 1));
        if (TemplateParser.IsPlain(text)) return [new ResolvedEntry(FileKey, file.Scalar, file.Location)];
        ThrowIfInvalid(from.Query, from.Sources.Set.Errors);
        var entries = FirstOfEach([.. from.Sources.Set.Sources]);
        entries[FileKey] = file;
        return Expanded(entries, [FileKey], ConfigLimits.CharactersPerDocument);
    }

    private async Task<FoundSources> FindSourcesAsync(CallContext call, SourcesQuery query, CancellationToken cancellationToken)
    {
        await RequireSourcesAsync(call, query);
        var (live, labels) = await LookAsync(query, cancellationToken);
        var found = new List<SourcesAt>(labels.Count);
        foreach (var label in labels)
        {
            // The tracked branch may be asked for before it exists; by its name, that is a label like any other.
            var missing = label.Missing
                ?? (label.Sources!.Commit.Length > 0 || query.Labels.IsEmpty ? null : new LockstepException(ErrorCode.NotFound, $"the branch '{TrackedBranch}' does not exist"));
            if (missing is null) found.Add(label.Sources!);
            else if (labels.Count == 1 || !Options.Spring.ContinueOnMissingLabel) throw missing;
        }
        if (found.Count == 0) throw new LockstepException(ErrorCode.NotFound, $"none of the labels of {query} exists");
        ThrowIfInvalid(query, [.. found.SelectMany(f => f.Set.Errors)]);
        // The overrides stand once, above all labels.
        var sources = found.SelectMany((f, i) => f.Set.Sources.Where(s => i == 0 || s.Path.Length > 0).Select(s => f.State == found[0].State ? s : Bound(s, f.State))).ToImmutableArray();
        if (sources.Sum(s => s.Entries.Sum(e => (long)e.Key.Length + e.Value.Text.Length)) > CharactersPerRead)
            throw new LockstepException(ErrorCode.InvalidConfig, $"the files of {query} come to more than {CharactersPerRead:N0} characters");
        return new FoundSources(sources, live, found[0].State, [.. found.Select(f => f.Commit).Where(c => c.Length > 0)], HeadOf(live, found));
    }

    // All labels at one state, also when a release is made meanwhile: a document that has yet to be known is made known, and then all is looked at anew.
    private async Task<(LiveState Live, List<(SpringLabel Label, SourcesAt? Sources, LockstepException? Missing)> Labels)> LookAsync(
        SourcesQuery query, CancellationToken cancellationToken)
    {
        while (true)
        {
            var live = Lane.Live;
            RequireFresh(live);
            var labels = new List<(SpringLabel, SourcesAt?, LockstepException?)>();
            DocumentKey? unknown = null;
            foreach (var label in LabelsOf(query, live.Release))
            {
                var key = query.Key(label.Ref);
                try
                {
                    var sources = await SourcesAsync(live, key, label.Name, cancellationToken);
                    if (sources is null) unknown = key;
                    labels.Add((label, sources, null));
                }
                catch (LockstepException e) when (e.Code == ErrorCode.NotFound)
                {
                    labels.Add((label, null, e));
                }
            }
            if (unknown is null) return (live, labels);
            await Lane.KnowAsync(unknown, IsListed(unknown), cancellationToken);
        }
    }

    // A document that does not resolve now is served as it last did, to Spring's clients as to others. Null: it has yet to be known.
    private async Task<SourcesAt?> SourcesAsync(LiveState live, DocumentKey key, string? name, CancellationToken cancellationToken)
    {
        var found = await Sources.AtAsync(key, name, live.Release, cancellationToken);
        // Under another name it may have other files than the document that is followed.
        if (name is not null && live.Release.Shape.SearchPaths.Any(p => p.Contains("{label}", StringComparison.Ordinal))) return found;
        if (!found.Set.HasOwnFile || !IsFollowed(live, key) || !NameRules.IsName(key.Service) || !NameRules.IsEnvironmentList(key.Environment)) return found;
        if (!live.Documents.TryGetValue(key, out var state)) return null;
        state.Usage.LastServedAt = Time.GetUtcNow().ToUnixTimeMilliseconds();
        if (state.Invalid is not { } invalid) return found;
        var last = await Sources.AtAsync(key, name, invalid.ValidAt, cancellationToken);
        return last with { Last = new ServedHead(invalid.ValidAt, new Staleness(invalid.Since, state.Resolution.Reason)) };
    }

    // What is told of several is what is true of the oldest.
    private static ServedHead HeadOf(LiveState live, IEnumerable<SourcesAt> found) =>
        found.Select(f => f.Last).OfType<ServedHead>().MinBy(h => h.Release) ?? new ServedHead(live.Release.Number, live.Stale);

    private async Task RequireSourcesAsync(CallContext call, SourcesQuery query)
    {
        foreach (var service in query.Key(null).Services)
            await RequireAsync(call, Permission.ConfigRead, query.Key(null) with { Service = service }, "config.read");
    }

    private IEnumerable<SpringLabel> LabelsOf(SourcesQuery query, ReleaseState release)
    {
        var usual = Options.Spring.DefaultLabel ?? TrackedBranch;
        var master = usual == "main" && Options.Spring.TryMaster && release.CommitOf("main") is null && release.CommitOf("master") is not null;
        foreach (var label in query.Labels.IsEmpty ? [usual] : query.Labels)
        {
            var substitute = master && label == usual;
            var actual = substitute ? "master" : label;
            yield return new SpringLabel(actual == TrackedBranch ? null : actual, substitute ? label : null);
        }
    }

    private async Task RequireRevealAsync(CallContext call, IEnumerable<ResolvedEntry> values)
    {
        foreach (var id in values.SelectMany(v => v.Value.References).Select(r => r.Id).Distinct())
            await RequireAsync(call, Permission.SecretReveal, Subject.Of(id), "config.read");
    }

    // Authorised, bound and on the record: whoever has what this returns may fill the values in. Of the hidden ones those that lead to nothing are left out.
    private async Task<ImmutableDictionary<SecretRef, BoundSecret>> DisclosedAsync(
        CallContext call, (SourcesQuery Query, FoundSources Found) from, (IEnumerable<ResolvedEntry> Shown, IEnumerable<ResolvedEntry> Hidden) values, CancellationToken cancellationToken)
    {
        var shown = values.Shown.Where(v => v.Value.References.Any()).ToList();
        var hidden = values.Hidden.Where(v => v.Value.References.Any()).ToList();
        GateMetrics.Reads.Add(1, GateMetrics.Served);
        if (shown.Count + hidden.Count == 0) return ImmutableDictionary<SecretRef, BoundSecret>.Empty;
        await RequireRevealAsync(call, [.. shown, .. hidden]);
        var active = ReleaseResolver.ActiveAt(from.Found.State, from.Found.Live.Release);
        var (bound, errors) = await new SecretBinder(Secrets).BindAsync(shown, active, cancellationToken);
        ThrowIfInvalid(from.Query, errors);
        bound = bound.SetItems((await new SecretBinder(Secrets).BindAsync(hidden, active, cancellationToken)).Bound);
        var disclosed = shown.Concat(hidden).Where(v => IsBound(v.Value, bound)).SelectMany(v => v.Value.References).ToList();
        if (disclosed.Sum(r => (long)bound[r].Value.LengthOf(r.Field)) > CharactersPerRead)
            throw new LockstepException(ErrorCode.InvalidConfig, $"the secrets of {from.Query} come to more than {CharactersPerRead:N0} characters");
        var names = disclosed.Select(r => $"{r.Id}@{bound[r].Version}").Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToImmutableArray();
        if (!names.IsEmpty)
            await RecordDisclosureAsync(call, Entry(call, "config.read", from.Query.ToString()) with { Release = from.Found.State.Number, Secrets = names }, cancellationToken);
        return bound;
    }

    private static bool IsBound(ConfigValue value, ImmutableDictionary<SecretRef, BoundSecret> bound) => value.References.All(bound.ContainsKey);

    private static ScalarValue Revealed(ConfigValue value, ImmutableDictionary<SecretRef, BoundSecret> bound) =>
        IsBound(value, bound) ? DocumentRenderer.Reveal(value, bound) : new ScalarValue(ScalarKind.String, SourceShaping.NotAvailable);

    // With the versions written out that its references have at another state than that of the first source.
    private static PropertySource Bound(PropertySource source, ReleaseState state) =>
        source.Entries.All(e => TemplateParser.IsPlain(e.Value.Text)) ? source : source with { Entries = [.. source.Entries.Select(e => Bound(e, state))] };

    private static PropertyEntry Bound(PropertyEntry entry, ReleaseState state)
    {
        if (entry.Value.Kind != ScalarKind.String || TemplateParser.IsPlain(entry.Value.Text)) return entry;
        try
        {
            var text = string.Concat(TemplateParser.References(entry.Value.Text).Select(p =>
                p.Literal ?? SecretReference.Write(p.Ref! with { Version = p.Ref.Version ?? state.ActiveVersion(p.Ref.Id) })));
            return entry with { Scalar = new ConfigValue.Scalar(entry.Value with { Text = text }) };
        }
        catch (TemplateException)
        {
            // Told where it is needed.
            return entry;
        }
    }

    private static SortedDictionary<string, MergedEntry> FirstOfEach(IReadOnlyList<PropertySource> sources)
    {
        var entries = new SortedDictionary<string, MergedEntry>(StringComparer.Ordinal);
        foreach (var source in sources)
            foreach (var entry in source.Entries) entries.TryAdd(entry.Key, new MergedEntry(entry.Scalar, new SourceLocation(source.Path, entry.Line)));
        return entries;
    }

    private static ImmutableArray<ResolvedEntry> Expanded(
        SortedDictionary<string, MergedEntry> entries, IReadOnlyCollection<string> keys, int charactersPerValue = ConfigLimits.CharactersPerValue)
    {
        // A reference that is none is a mistake in a file; what is wrong with placeholders beyond that is, as in Spring, a mistake of who asks for them.
        foreach (var key in keys) Template(entries[key], key);
        var expanded = new PlaceholderExpander(entries, charactersPerValue).Expand(keys);
        if (expanded.Errors.IsEmpty) return expanded.Values;
        var error = expanded.Errors[0];
        throw new LockstepException(ErrorCode.BadRequest, new ConfigError(error.Location, error.Key == FileKey ? null : error.Key, error.Message).ToString());
    }

    // Text stays text for Spring, also when it is made of a number.
    private static ScalarValue Kept(ScalarValue value, ResolvedEntry entry, SortedDictionary<string, MergedEntry> entries) =>
        entries[entry.Key].Value.Kind == ScalarKind.String && entry.Value is ConfigValue.Scalar ? new ScalarValue(ScalarKind.String, value.Text) : value;

    private static ResolvedEntry Template(PropertySource source, PropertyEntry entry, bool isHidden)
    {
        var location = new SourceLocation(source.Path, entry.Line);
        try
        {
            return new ResolvedEntry(entry.Key, Template(new MergedEntry(entry.Scalar, location), entry.Key), location);
        }
        catch (LockstepException e) when (isHidden && e.Code == ErrorCode.InvalidConfig)
        {
            return new ResolvedEntry(entry.Key, new ConfigValue.Scalar(new ScalarValue(ScalarKind.String, SourceShaping.NotAvailable)), location);
        }
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

    // Times on the wire are whole seconds, and a clock may have been set back: only what was told of this very release is believed. In the second of the release itself an earlier one is told, since another release may follow within it.
    private (DateTimeOffset Modified, bool NotModified) Modified(DateTimeOffset released, DateTimeOffset? since)
    {
        var second = DateTimeOffset.FromUnixTimeSeconds(released.ToUnixTimeSeconds());
        var settled = Time.GetUtcNow() >= second.AddSeconds(1);
        return (settled ? second : second.AddSeconds(-1), settled && since == second);
    }
}
