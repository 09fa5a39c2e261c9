using Lockstep.Access;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Access;

public sealed class ServiceTokenTests
{
    private const string Alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    [Fact]
    public void A_new_token_has_the_documented_form_and_reads_back()
    {
        var token = ServiceToken.Create();
        var text = token.Export();
        text.ShouldMatch("^lks_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$");
        ServiceToken.TryParse(text, out var read).ShouldBeTrue();
        read.Id.ToString().ShouldBe(text[4..16]);
        read.Matches(token.Hash()).ShouldBeTrue();
        read.Hash().ShouldBe(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.ASCII.GetBytes(text[17..60])));
    }

    [Fact]
    public void The_checksum_is_the_crc_of_zlib()
    {
        // zlib.crc32(b"lks_000000000000_" + b"0" * 43) in base62, six digits.
        const string body = "lks_000000000000_0000000000000000000000000000000000000000000";
        ServiceToken.TryParse(body + "CHECK1", out _).ShouldBeFalse();
        ServiceToken.TryParse(body + Base62(Crc(body)), out _).ShouldBeTrue();
    }

    [Fact]
    public void It_prints_its_id_only()
    {
        var token = ServiceToken.Create("abcDEF012345");
        $"{token}".ShouldBe("lks_abcDEF012345_***");
        default(ServiceToken).ToString().ShouldBe("");
    }

    [Fact]
    public void Tokens_differ_and_use_the_whole_alphabet_evenly()
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var counts = new int[62];
        for (var i = 0; i < 2000; i++)
        {
            var text = ServiceToken.Create().Export();
            seen.Add(text).ShouldBeTrue();
            foreach (var c in text.AsSpan(17, 43)) counts[Alphabet.IndexOf(c)]++;
        }
        // 86,000 draws: 1,387 each, standard deviation 37; a bias as of "byte mod 62" would be beyond 250.
        counts.ShouldAllBe(c => c > 1387 - 250 && c < 1387 + 250);
    }

    [Fact]
    public void Any_single_change_is_refused_before_a_look_up()
    {
        var text = ServiceToken.Create().Export();
        for (var i = 0; i < text.Length; i++)
        {
            foreach (var c in Alphabet + "_-. é\0")
            {
                if (c == text[i]) continue;
                ServiceToken.TryParse(text[..i] + c + text[(i + 1)..], out _).ShouldBeFalse();
            }
            ServiceToken.TryParse(text.Remove(i, 1), out _).ShouldBeFalse();
            ServiceToken.TryParse(text.Insert(i, "a"), out _).ShouldBeFalse();
        }
    }

    [Fact]
    public void Anything_else_is_refused()
    {
        foreach (var text in new[] { null, "", "lks_", "lks__", "LKS_" + ServiceToken.Create().Export()[4..], ServiceToken.Create().Export() + "\n", " " + ServiceToken.Create().Export() })
            ServiceToken.TryParse(text, out _).ShouldBeFalse();
        var random = new Random(1);
        for (var i = 0; i < 20_000; i++)
        {
            var chars = new char[random.Next(0, 80)];
            for (var j = 0; j < chars.Length; j++) chars[j] = random.Next(4) == 0 ? (char)random.Next(0x10000) : Alphabet[random.Next(62)];
            ServiceToken.TryParse((random.Next(2) == 0 ? "lks_" : "") + new string(chars), out _).ShouldBeFalse();
        }
    }

    [Fact]
    public void Another_secret_under_the_same_id_does_not_match()
    {
        var token = ServiceToken.Create();
        var rolled = ServiceToken.Create(token.Id.ToString());
        rolled.Id.ToString().ShouldBe(token.Id.ToString());
        rolled.Matches(token.Hash()).ShouldBeFalse();
    }

    private static uint Crc(string text)
    {
        var crc = 0xFFFFFFFFu;
        foreach (var c in text)
        {
            crc ^= c;
            for (var i = 0; i < 8; i++) crc = (crc >> 1) ^ (0xEDB88320u & (uint)-(int)(crc & 1));
        }
        return ~crc;
    }

    private static string Base62(uint number)
    {
        var text = "";
        for (var i = 0; i < 6; i++, number /= 62) text = Alphabet[(int)(number % 62)] + text;
        return text;
    }
}
