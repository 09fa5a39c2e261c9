namespace Lockstep.Client;

/// <summary>What is watched.</summary>
internal sealed record Subscription(string Service, string Environment, string? Label);
