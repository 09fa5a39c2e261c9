using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Lockstep.Tests.Fuzz;

/// <summary>
/// Mutates a corpus for a bounded time and shows each input to a check. What the check accepts joins the corpus, so that later inputs are changes of changes. A
/// failure names the seed and the whole input. <c>LOCKSTEP_FUZZ_SECONDS</c> is the time for each target (two seconds without it),
/// <c>LOCKSTEP_FUZZ_SEED</c> the seed; with a time and no seed it is another one each time.
/// </summary>
internal sealed class Fuzzer
{
    // However slow the machine is, so many are tried.
    private const int MinRounds = 300;
    private const int MaxCorpus = 300;
    private const int MaxBytes = 64 * 1024;

    // Generous: this finds what hangs, it measures nothing.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private static readonly string? s_seconds = Environment.GetEnvironmentVariable("LOCKSTEP_FUZZ_SECONDS");

    private readonly string _name;
    private readonly List<byte[]> _corpus;
    private readonly byte[][] _fragments;
    private readonly int _seeds;

    /// <param name="name">What is fuzzed.</param>
    /// <param name="corpus">Inputs to begin with.</param>
    /// <param name="fragments">Pieces that mean something to what is fuzzed.</param>
    public Fuzzer(string name, IEnumerable<string> corpus, params string[] fragments)
    {
        (_name, _corpus, _fragments) = (name, [.. corpus.Select(Encoding.UTF8.GetBytes)], [.. fragments.Select(Encoding.UTF8.GetBytes)]);
        _seeds = _corpus.Count;
        Seed = Environment.GetEnvironmentVariable("LOCKSTEP_FUZZ_SEED") is { } seed ? int.Parse(seed, CultureInfo.InvariantCulture)
            : s_seconds is null ? name.Sum(c => c) : Random.Shared.Next();
        Random = new Random(Seed);
    }

    public int Seed { get; }

    /// <summary>For the check's own draws.</summary>
    public Random Random { get; }

    private static TimeSpan Duration => TimeSpan.FromSeconds(s_seconds is null ? 2 : double.Parse(s_seconds, CultureInfo.InvariantCulture));

    /// <summary>Runs with texts; <paramref name="check"/> tells whether the input was accepted, and throws when a property does not hold.</summary>
    public Task RunAsync(Func<string, ValueTask<bool>> check) => RunAsync(bytes => check(Encoding.UTF8.GetString(bytes)));

    public void Run(Func<string, bool> check) => Run(bytes => check(Encoding.UTF8.GetString(bytes)));

    public void Run(Func<byte[], bool> check) => RunAsync(bytes => ValueTask.FromResult(check(bytes))).GetAwaiter().GetResult();

    public async Task RunAsync(Func<byte[], ValueTask<bool>> check)
    {
        var begun = TimeProvider.System.GetTimestamp();
        for (var round = 0; round < MinRounds || TimeProvider.System.GetElapsedTime(begun) < Duration; round++)
        {
            var input = round < _seeds ? _corpus[round] : Mutate(_corpus[Random.Next(_corpus.Count)]);
            var start = TimeProvider.System.GetTimestamp();
            bool accepted;
            try
            {
                accepted = await check(input);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"{Describe(round, input)}: {e.Message}", e);
            }
            var took = TimeProvider.System.GetElapsedTime(start);
            if (took > s_patience) throw new InvalidOperationException($"{Describe(round, input)}: took {took}");
            if (round < _seeds && !accepted) throw new InvalidOperationException($"{Describe(round, input)}: the corpus is to be accepted");
            if (accepted && round >= _seeds) Keep(input);
        }
    }

    /// <summary>A change of a text, for checks that mutate a part of something.</summary>
    public string Mutate(string text) => Encoding.UTF8.GetString(Mutate(Encoding.UTF8.GetBytes(text)));

    public byte[] Mutate(byte[] seed)
    {
        var bytes = seed.ToList();
        for (var changes = 1 + (int)Math.Pow(12, Random.NextDouble()); changes > 0; changes--)
        {
            var at = Random.Next(bytes.Count + 1);
            var left = bytes.Count - at;
            switch (Random.Next(8))
            {
                case 0 when left > 0:
                    bytes[at] = (byte)Random.Next(256);
                    break;
                case 1 when left > 0:
                    bytes[at] ^= (byte)(1 << Random.Next(8));
                    break;
                case 2:
                    bytes.RemoveRange(at, Random.Next(Math.Min(left, 1 << Random.Next(8)) + 1));
                    break;
                case 3:
                    bytes.InsertRange(at, bytes.GetRange(at, Random.Next(left + 1)));
                    break;
                case 4 when left > 0:
                    bytes.InsertRange(at, Enumerable.Repeat(bytes[at], Random.Next(200)));
                    break;
                case 5:
                    // Two halves of two.
                    var other = _corpus[Random.Next(_corpus.Count)];
                    bytes.RemoveRange(at, left);
                    bytes.AddRange(other[Math.Min(other.Length, Random.Next(other.Length + 1))..]);
                    break;
                case 6 when left > 0:
                    bytes[at] = bytes[Random.Next(bytes.Count)];
                    break;
                case 7 when _fragments.Length > 0:
                    bytes.InsertRange(at, _fragments[Random.Next(_fragments.Length)]);
                    break;
            }
            if (bytes.Count > MaxBytes) bytes.RemoveRange(MaxBytes, bytes.Count - MaxBytes);
        }
        return [.. bytes];
    }

    private void Keep(byte[] input)
    {
        if (input.Length > 4096) return;
        if (_corpus.Count < MaxCorpus) _corpus.Add(input);
        else _corpus[Random.Next(_seeds, MaxCorpus)] = input;
    }

    private string Describe(int round, byte[] input) =>
        $"fuzzing {_name}, LOCKSTEP_FUZZ_SEED={Seed}, round {round}, input {JsonSerializer.Serialize(Encoding.UTF8.GetString(input))} ({Convert.ToBase64String(input)})";
}
