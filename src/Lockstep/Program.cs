using Lockstep.Agent;
using Lockstep.Cli;
using Lockstep.Compat.Git;

// The shim and the hook take no other arguments, print no help, and are nothing for people.
return args switch
{
    [ExecShim.Verb, var plan, var done] => ExecShim.Run(plan, done),
    [GitHook.Verb, var hook] => await GitHook.RunAsync(hook),
    _ => await VerbTable.RunAsync(args),
};
