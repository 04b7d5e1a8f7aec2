package series_test

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/series"
)

func TestASecretSurvivesItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "text")
		secret, err := series.ParseSecret(text)
		require.NoError(t, err)
		back, err := secret.MarshalText()
		require.NoError(t, err)
		require.Equal(t, text, string(back))
	})
}

func TestUpperCaseIsTheSameSecret(t *testing.T) {
	lower, err := series.ParseSecret("00112233445566778899aabbccddeeff")
	require.NoError(t, err)
	upper, err := series.ParseSecret("00112233445566778899AABBCCDDEEFF")
	require.NoError(t, err)
	require.Equal(t, lower, upper)
}

func TestNewSecretsDiffer(t *testing.T) {
	seen := map[series.Secret]bool{{}: true}
	for range 1000 {
		s := series.NewSecret()
		require.NotContains(t, seen, s)
		seen[s] = true
	}
}

func TestANewSecretHashesAsItsTextDoes(t *testing.T) {
	secret := series.NewSecret()
	text, err := secret.MarshalText()
	require.NoError(t, err)
	require.Equal(t, series.NewHasher(secret).String(series.Point, "k", "v"),
		hasherOf(t, string(text)).String(series.Point, "k", "v"))
}

func TestParseSecretRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":             "",
		"a short text":        "00112233445566778899aabbccddee",
		"a long text":         "00112233445566778899aabbccddeeff00",
		"an odd text":         "00112233445566778899aabbccddeef",
		"letters beyond f":    "0011223344556677889900aabbccddgg",
		"spaces":              " 0112233445566778899aabbccddeeff",
		"a prefix":            "0x112233445566778899aabbccddeeff",
		"invalid UTF-8":       strings.Repeat("\xff", 32),
		"digits beyond ASCII": strings.Repeat("٣", 16),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := series.ParseSecret(text)
			require.ErrorContains(t, err, fmt.Sprintf("a secret is 32 hexadecimal digits, got %d characters", len(text)))
			require.Zero(t, got)
			if text != "" {
				require.NotContains(t, err.Error(), text, "what was given may be most of a secret")
			}
		})
	}
}

// A secret gets into a log by a format verb, as a field of another struct or as
// the cause of an error.
func TestASecretIsNeverShown(t *testing.T) {
	const text = "00112233445566778899aabbccddeeff"
	secret, err := series.ParseSecret(text)
	require.NoError(t, err)
	require.Equal(t, "[REDACTED]", secret.String())

	type holder struct{ Secret series.Secret }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, shown := range []any{secret, &secret, holder{secret}, []series.Secret{secret}} {
			got := fmt.Sprintf(verb, shown)
			for _, half := range shownForms() {
				require.NotContains(t, strings.ToLower(got), half, "%s of %T", verb, shown)
			}
		}
	}
}

// shownForms are the halves of the secret as text, hexadecimal and decimal.
func shownForms() []string {
	return []string{
		"00112233", "8899aabb", "7766554433221100", "ffeeddccbbaa9988",
		strconv.FormatUint(0x7766554433221100, 10), strconv.FormatUint(0xffeeddccbbaa9988, 10),
	}
}

// State files and the control plane write the secret on purpose.
func TestASecretIsWrittenToState(t *testing.T) {
	secret, err := series.ParseSecret("00112233445566778899aabbccddeeff")
	require.NoError(t, err)
	got, err := json.Marshal(map[string]series.Secret{"secret": secret})
	require.NoError(t, err)
	require.JSONEq(t, `{"secret":"00112233445566778899aabbccddeeff"}`, string(got))
}

func TestEveryBitOfTheSecretCounts(t *testing.T) {
	seen := map[uint64]int{hasherOf(t, strings.Repeat("0", 32)).String(series.Point, "k", "v"): -1}
	for bit := range 128 {
		digits := []byte(strings.Repeat("0", 32))
		digits[bit/4] = "1248"[bit%4]
		got := hasherOf(t, string(digits)).String(series.Point, "k", "v")
		require.NotContains(t, seen, got, "bit %d", bit)
		seen[got] = bit
	}
}

// Hashes of one series under two secrets agree in half of their bits, as
// independent ones do, and their difference is no constant that would carry
// over from one series to another.
func TestHashesOfTwoSecretsAreUnrelated(t *testing.T) {
	const n = 20000
	a := hasherOf(t, "00112233445566778899aabbccddeeff")
	b := hasherOf(t, "10112233445566778899aabbccddeeff")
	differ, differences := 0, map[uint64]bool{}
	for k := range n {
		text := fmt.Sprint("pod-", k)
		x, y := a.String(series.Point, "pod", text), b.String(series.Point, "pod", text)
		differ += bits.OnesCount64(x ^ y)
		differences[x-y] = true
	}
	require.Len(t, differences, n)
	// 32 of 64 bits; the mean of n has a standard deviation of 4/√n = 0.028.
	require.InDelta(t, 32, float64(differ)/n, 6*0.029)
}
