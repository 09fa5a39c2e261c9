using System.CommandLine;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary>--yes, and the question that is asked without it.</summary>
internal static class Confirmation
{
    public static Option<bool> AddYes(Command command)
    {
        var yes = new Option<bool>("--yes", "-y") { Description = "Do not ask" };
        command.Add(yes);
        return yes;
    }

    /// <summary>Goes on only if the user wants it; where nobody can be asked, --yes is required.</summary>
    public static void Ask(Session session, Option<bool> yes, string question)
    {
        if (session.Get(yes)) return;
        if (Console.IsInputRedirected || Console.IsErrorRedirected)
            throw new LockstepException(ErrorCode.BadRequest, $"{question} There is nobody to ask: add --yes if it is meant");
        Console.Error.Write($"{question} [y/N] ");
        if (Console.ReadLine()?.Trim() is not ("y" or "Y" or "yes"))
            throw new LockstepException(ErrorCode.Conflict, "not done: the answer was not yes");
    }
}
