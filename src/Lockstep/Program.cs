using Lockstep.Agent;
using Lockstep.Cli;

// The shim takes no other arguments, prints no help, and is nothing for people.
return args is [ExecShim.Verb, var plan, var done] ? ExecShim.Run(plan, done) : await VerbTable.RunAsync(args);
