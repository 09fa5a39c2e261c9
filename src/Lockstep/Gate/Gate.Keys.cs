using System.Globalization;
using Lockstep.Access;
using Lockstep.Client;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    // A change of the master key, or a backup, which holds what one master key wraps: one at a time.
    private int _keysInUse;

    /// <summary>Changes the master key; see <see cref="Secrets.MasterKey.RekeyAsync"/>. Once begun it is not given up for a caller who leaves.</summary>
    /// <exception cref="LockstepException">conflict while another one or a backup is under way, and where the key comes from a place that the server can't change.</exception>
    public async Task<RekeyResult> RekeyAsync(CallContext call)
    {
        await RequireAsync(call, Permission.Admin, Subject.Nothing, "key.rekey");
        using var turn = TakeKeys();
        return await MasterKey.RekeyAsync(
            session => Record(session, call, Entry(call, "key.rekey", null) with { Detail = "began" }),
            // It began with a token that was good then; what has become of that since must not leave two keys.
            (session, done) => Audit.Append(session, Entry(call, "key.rekey", null) with { Detail = Describe(done) }),
            CancellationToken.None);
    }

    /// <summary>For the record.</summary>
    public static string Describe(RekeyResult done) => string.Create(CultureInfo.InvariantCulture, $"done: {done.Rewrapped} keys wrapped anew, {done.Damaged} damaged");

    private KeyTurn TakeKeys() => Interlocked.CompareExchange(ref _keysInUse, 1, 0) == 0
        ? new KeyTurn(this)
        : throw new LockstepException(ErrorCode.Conflict, "a backup or a change of the master key is under way; try again when it has ended");

    private sealed class KeyTurn(Gate gate) : IDisposable
    {
        public void Dispose() => Volatile.Write(ref gate._keysInUse, 0);
    }
}
