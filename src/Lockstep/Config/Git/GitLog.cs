using Microsoft.Extensions.Logging;

namespace Lockstep.Config.Git;

internal static partial class GitLog
{
    [LoggerMessage(Level = LogLevel.Warning, Message = "{Warning}")]
    public static partial void GitWarning(this ILogger logger, string warning);

    [LoggerMessage(Level = LogLevel.Warning, Message = "the repository {Repository} has no branches yet; it is served as empty until {Branch} is pushed")]
    public static partial void RepositoryEmpty(this ILogger logger, string repository, string branch);

    [LoggerMessage(Level = LogLevel.Warning, Message = "the repository {Repository} has no branch main; /spring serves master in its place (spring.tryMaster). Set config.branch: master for everything else")]
    public static partial void OnlyMaster(this ILogger logger, string repository);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} file(s) of commit {Commit} are left out because their paths are not UTF-8 or too long")]
    public static partial void NamesSkipped(this ILogger logger, int count, string commit);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} of {Total} branches and tags are left out: {Limit} are served")]
    public static partial void RefsSkipped(this ILogger logger, int count, int total, int limit);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} branch(es) and tag(s) are left out because they name no commit that can be read, or are not UTF-8; the first is {Name}")]
    public static partial void RefsUnreadable(this ILogger logger, int count, string name);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Failure}. What the mirror holds is served until the remote answers")]
    public static partial void ServingMirror(this ILogger logger, string failure);
}
