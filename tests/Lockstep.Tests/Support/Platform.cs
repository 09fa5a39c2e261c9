// Git, PostgreSQL and child processes are started as on Unix, and files have modes.
[assembly: System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
