namespace Lockstep.Tests.Support;

internal sealed partial class GitClone
{
    public static GitClone Of(TestServer server, TestCaller caller) => Of(server.Server.Address, caller.Token!);

    public static GitClone Clone(TestServer server, TestCaller caller) => Of(server, caller).Clone();
}
