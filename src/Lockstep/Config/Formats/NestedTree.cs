namespace Lockstep.Config.Formats;

/// <summary>A node of a nested document: exactly one of the three is set; all null stands for a gap in a list.</summary>
internal sealed record NestedNode(ScalarValue? Scalar = null, List<KeyValuePair<string, NestedNode>>? Members = null, List<NestedNode>? Items = null)
{
    public static NestedNode Gap { get; } = new();
}

/// <summary>
/// Builds the tree that flat keys describe. Where a place has both a scalar and something below it, the scalar keeps the place and the rest
/// stands beside it under the longer name: <c>a.b</c> and <c>a.b.c</c> become the members <c>b</c> and <c>b.c</c> of <c>a</c>.
/// </summary>
internal static class NestedTree
{
    public static NestedNode Build(IEnumerable<(string Key, ScalarValue Value)> values)
    {
        var root = new Branch();
        foreach (var (key, value) in values)
        {
            var branch = root;
            foreach (var step in KeyPath.Split(key)) branch = branch.Step(step);
            branch.Scalar = value;
        }
        var members = new List<KeyValuePair<string, NestedNode>>();
        foreach (var (name, child) in root.Members) Place(members, name, child);
        return new NestedNode(Members: members);
    }

    private static void Place(List<KeyValuePair<string, NestedNode>> members, string name, Branch branch)
    {
        var taken = branch.Scalar is not null;
        if (branch.Scalar is { } scalar) members.Add(new(name, new NestedNode(scalar)));
        if (branch.Items.Count > 0)
        {
            if (!taken && branch.IsList)
            {
                members.Add(new(name, List(branch)));
                taken = true;
            }
            else
            {
                foreach (var (index, item) in branch.Items) Place(members, $"{name}[{index}]", item);
            }
        }
        if (branch.Members.Count == 0) return;
        if (!taken)
        {
            members.Add(new(name, Object(branch)));
            return;
        }
        foreach (var (child, below) in branch.Members) Place(members, child[0] == '[' ? name + child : $"{name}.{child}", below);
    }

    private static NestedNode Object(Branch branch)
    {
        var members = new List<KeyValuePair<string, NestedNode>>();
        foreach (var (name, child) in branch.Members) Place(members, name, child);
        return new NestedNode(Members: members);
    }

    private static NestedNode List(Branch branch)
    {
        var items = new List<NestedNode>();
        foreach (var (index, item) in branch.Items)
        {
            while (items.Count < index) items.Add(NestedNode.Gap);
            items.Add(item.Scalar is { } scalar ? new NestedNode(scalar) : item.Items.Count > 0 ? List(item) : Object(item));
        }
        return new NestedNode(Items: items);
    }

    private sealed class Branch
    {
        public ScalarValue? Scalar { get; set; }

        public SortedDictionary<string, Branch> Members { get; } = new(StringComparer.Ordinal);

        public SortedDictionary<int, Branch> Items { get; } = [];

        /// <summary>A list can be written as one: its items have no room for a second kind of content beside them, and gaps must stay affordable.</summary>
        public bool IsList => Items.Keys.Last() < 4 * Items.Count + 16 && Items.Values.All(i => i.IsItem);

        private bool IsItem =>
            Scalar is not null ? Items.Count == 0 && Members.Count == 0
            : Items.Count > 0 ? Members.Count == 0 && IsList
            : Members.Count > 0;

        public Branch Step(KeyStep step)
        {
            Branch? next;
            if (step.Name is null)
            {
                if (!Items.TryGetValue(step.Index, out next)) Items.Add(step.Index, next = new Branch());
            }
            else if (!Members.TryGetValue(step.Name, out next))
            {
                Members.Add(step.Name, next = new Branch());
            }
            return next;
        }
    }
}
