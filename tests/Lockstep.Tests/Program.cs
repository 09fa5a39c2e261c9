using Lockstep.Tests.Storage;

// Tests that kill a process start this assembly with a word that says what to do; see ChildProcess.
return args is ["acknowledged-writes", var directory] ? await AcknowledgedWrites.RunAsync(directory) : 2;
