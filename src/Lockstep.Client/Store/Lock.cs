#if !NET9_0_OR_GREATER
namespace Lockstep.Client;

/// <summary>What <c>System.Threading.Lock</c> is from .NET 9 on: an object for nothing but <c>lock</c>.</summary>
internal sealed class Lock;
#endif
