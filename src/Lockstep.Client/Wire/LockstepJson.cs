using System.Text.Json;
using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>
/// How the wire types are written and read, without reflection. <see cref="Default"/> is strict, for requests: unknown and repeated
/// properties are errors. Properties that are left out are set to their type's default by the generated code, past any initializer: those that
/// have another default guard it themselves. <see cref="Tolerant"/> is for answers, to which a newer server may have added properties.
/// </summary>
[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Strict,
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    Converters = [typeof(TimeConverter), typeof(DurationConverter)])]
[JsonSerializable(typeof(ActivateRequest))]
[JsonSerializable(typeof(AuditEntryInfo))]
[JsonSerializable(typeof(AuditVerification))]
[JsonSerializable(typeof(CanResult))]
[JsonSerializable(typeof(ConfigDiff))]
[JsonSerializable(typeof(ExposureReport))]
[JsonSerializable(typeof(FleetPage))]
[JsonSerializable(typeof(KillReport))]
[JsonSerializable(typeof(KillRequest))]
[JsonSerializable(typeof(LoginIssuer))]
[JsonSerializable(typeof(PlanRequest))]
[JsonSerializable(typeof(PlanResult))]
[JsonSerializable(typeof(Problem))]
[JsonSerializable(typeof(RefreshResult))]
[JsonSerializable(typeof(RekeyResult))]
[JsonSerializable(typeof(ReleaseDocument))]
[JsonSerializable(typeof(ReleaseInfo))]
[JsonSerializable(typeof(RoleInfo))]
[JsonSerializable(typeof(RolePut))]
[JsonSerializable(typeof(RollbackRequest))]
[JsonSerializable(typeof(SecretCreate))]
[JsonSerializable(typeof(SecretMetadata))]
[JsonSerializable(typeof(SecretPlaintext))]
[JsonSerializable(typeof(SecretPut))]
[JsonSerializable(typeof(SecretVersion))]
[JsonSerializable(typeof(SecretWritten))]
[JsonSerializable(typeof(Snapshot))]
[JsonSerializable(typeof(StaleInfo))]
[JsonSerializable(typeof(TokenCreate))]
[JsonSerializable(typeof(TokenCreated))]
[JsonSerializable(typeof(TokenDerive))]
[JsonSerializable(typeof(TokenInfo))]
[JsonSerializable(typeof(TokenRenew))]
[JsonSerializable(typeof(TokenRenewed))]
[JsonSerializable(typeof(WhoAmI))]
[JsonSerializable(typeof(Page<AuditEntryInfo>), TypeInfoPropertyName = "AuditPage")]
[JsonSerializable(typeof(Page<LoginIssuer>), TypeInfoPropertyName = "LoginPage")]
[JsonSerializable(typeof(Page<ReleaseInfo>), TypeInfoPropertyName = "ReleasePage")]
[JsonSerializable(typeof(Page<RoleInfo>), TypeInfoPropertyName = "RolePage")]
[JsonSerializable(typeof(Page<SecretMetadata>), TypeInfoPropertyName = "SecretPage")]
[JsonSerializable(typeof(Page<SecretVersion>), TypeInfoPropertyName = "SecretVersionPage")]
[JsonSerializable(typeof(Page<TokenInfo>), TypeInfoPropertyName = "TokenPage")]
public sealed partial class LockstepJson : JsonSerializerContext
{
    /// <summary>Like <see cref="Default"/>, but unknown properties are skipped. Made on first use: static fields of the generated half may not be set yet before.</summary>
    public static LockstepJson Tolerant => field ??=
        new(new JsonSerializerOptions(Default.Options) { UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip });
}
