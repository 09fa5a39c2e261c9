return await Lockstep.Cli.VerbTable.RunAsync(args);
