namespace Lockstep.Client;

public sealed partial class LockstepClient
{
    /// <summary>The live instances of a document: those that hold a watch connection, and what they run on.</summary>
    public Task<FleetPage> GetFleetAsync(string service, string environment, string? label = null, CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/fleet").Segment("the service", service).Segment("the environment", environment).Query("label", label),
            LockstepJson.Tolerant.FleetPage, cancellationToken);
}
