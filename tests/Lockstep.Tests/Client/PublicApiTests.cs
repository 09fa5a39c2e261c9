using System.Reflection;
using System.Text;
using Lockstep.Client;
using Xunit;

namespace Lockstep.Tests.Client;

/// <summary>What the package offers is a promise: a change of it shows as a change of the golden file.</summary>
public sealed class PublicApiTests
{
    [Fact]
    public void The_public_api_is_what_the_golden_file_says() => Golden.Check("Client/PublicApi.golden.txt", Dump());

    private static string Dump()
    {
        var text = new StringBuilder();
        foreach (var type in typeof(LockstepClient).Assembly.GetExportedTypes().OrderBy(t => t.FullName, StringComparer.Ordinal))
        {
            text.Append(type.IsAbstract && type.IsSealed ? "static " : type.IsSealed ? "sealed " : "").Append(type.IsEnum ? "enum " : type.IsInterface ? "interface " : "class ").Append(type).Append('\n');
            // The members that the serializer's generator makes are its own business.
            if (type == typeof(LockstepJson)) continue;
            var members = type.GetMembers(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly)
                .Where(m => m is not (MethodInfo { IsSpecialName: true } or ConstructorInfo { IsStatic: true }))
                .Where(m => m.Name is not ("Equals" or "GetHashCode" or "ToString" or "<Clone>$" or "Deconstruct"))
                .Select(Describe);
            foreach (var member in members.Order(StringComparer.Ordinal)) text.Append("  ").Append(member).Append('\n');
        }
        return text.ToString();
    }

    private static string Describe(MemberInfo member) => member switch
    {
        PropertyInfo p => $"{p} {{{(p.GetMethod is { IsPublic: true } ? " get;" : "")}{(p.SetMethod is { IsPublic: true } ? " set;" : "")} }}",
        ConstructorInfo c => c.ToString()!,
        MethodInfo m => $"{m.ReturnType} {m.Name}({string.Join(", ", m.GetParameters().Select(p => $"{p.ParameterType} {p.Name}{(p.HasDefaultValue ? " = " + (p.DefaultValue ?? "default") : "")}"))})",
        _ => member.ToString()!,
    };
}
