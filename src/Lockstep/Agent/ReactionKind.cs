namespace Lockstep.Agent;

internal enum ReactionKind
{
    None,
    Restart,
    Stop,
    Signal,
}
