package access

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// sampleID and sampleSecret make a key that is the same in every run.
const (
	sampleID     = "8Vn3kQ0xTb2L"
	sampleSecret = "4bGmZ7tYhR2sWc9XvNq1LpKd5FjUe0"
	sampleText   = "phx_8Vn3kQ0xTb2L_4bGmZ7tYhR2sWc9XvNq1LpKd5FjUe0"
)

func sample() Key { return newKey(sampleID, sampleSecret) }

func TestKeyText(t *testing.T) {
	key := sample()
	// The checksum was computed by another program, with zlib's crc32.
	assert.Equal(t, sampleText+"0LulWI", key.Reveal())
	assert.Equal(t, sampleID, key.ID())
	assert.Equal(t, sampleSecret, key.Reveal()[len("phx_")+12+1:][:30])
	assert.Empty(t, Key{}.Reveal())

	one, two := NewKey(), NewKey()
	assert.NotEqual(t, one.Reveal(), two.Reveal())
	assert.NotEqual(t, one.ID(), two.ID())
	for _, k := range []Key{one, two, key} {
		read, err := ParseKey(k.Reveal())
		require.NoError(t, err)
		assert.Equal(t, k.ID(), read.ID())
		assert.Equal(t, k.Reveal(), read.Reveal())
		assert.True(t, k.Hash().Equal(read.Hash()))
		assert.Regexp(t, `\A`+KeyPattern+`\z`, k.Reveal())
	}
}

// TestSecretsAreHardToGuess checks the entropy that doc comments state, and that
// characters are independent of their place and equally likely.
func TestSecretsAreHardToGuess(t *testing.T) {
	bits := 0.0
	for range secretLength {
		bits += 5.954196310386875 // log₂62
	}
	assert.GreaterOrEqual(t, bits, 160.0)
	var counts [256]int
	const draws = 4000
	for range draws {
		for _, b := range []byte(draw(randomBytes{}, secretLength)) {
			counts[b]++
		}
	}
	expected := float64(draws*secretLength) / 62
	chi2 := 0.0
	for _, c := range []byte(base62) {
		d := float64(counts[c]) - expected
		chi2 += d * d / expected
	}
	assert.Less(t, chi2, 120.0) // 61 degrees of freedom: p < 1e-5
}

// randomBytes is a deterministic source (xorshift64*), so that the test above
// always sees the same.
type randomBytes struct{}

var xorshift uint64 = 88172645463325252

func (randomBytes) Read(p []byte) (int, error) {
	for i := range p {
		xorshift ^= xorshift >> 12
		xorshift ^= xorshift << 25
		xorshift ^= xorshift >> 27
		p[i] = byte((xorshift * 2685821657736338717) >> 56)
	}
	return len(p), nil
}

// TestBytesThatWouldBiasAreDrawnAgain gives one byte that is too high, then good
// ones.
func TestBytesThatWouldBiasAreDrawnAgain(t *testing.T) {
	random := append(bytes.Repeat([]byte{248, 255}, 32), bytes.Repeat([]byte{61, 62, 247}, 22)[:64]...)
	assert.Equal(t, "z0zz0z", draw(bytes.NewReader(random), 6))
	assert.PanicsWithValue(t, "access: no random numbers: EOF", func() { draw(strings.NewReader(""), 1) })
}

func TestParseKeyRefuses(t *testing.T) {
	good := sample().Reveal()
	f := func(text, want string) {
		t.Helper()
		_, err := ParseKey(text)
		require.EqualError(t, err, want)
		require.ErrorIs(t, err, ErrUnauthenticated)
		assert.NotContains(t, err.Error(), "4bGm")
	}
	const length = "an API key has 53 characters, this one has %d"
	const alphabet = "an API key has letters and digits only, and _ after its id"
	const sum = "the checksum of the API key does not fit: it was mistyped or cut off"
	f("", "an API key begins with phx_")
	f("ghp_"+good[4:], "an API key begins with phx_")
	f(" "+good, "an API key begins with phx_")
	f(good[:52], fmt.Sprintf(length, 52))
	f(good+"x", fmt.Sprintf(length, 54))
	f("phx_", fmt.Sprintf(length, 4))
	f(strings.Replace(good, "b", "-", 1), alphabet)
	f(good[:16]+"x"+good[17:], alphabet)
	f(good[:50]+"\nab", alphabet)
	f(good[:51]+"é", alphabet)
	f(strings.Replace(good, "4bGm", "4bGn", 1), sum)
	f(good[:52]+"0", sum)
}

// TestEveryTypoIsRecognised replaces each character by each other one, and swaps
// neighbours.
func TestEveryTypoIsRecognised(t *testing.T) {
	for _, key := range []Key{sample(), NewKey()} {
		text := key.Reveal()
		tried := 0
		refused := func(typo string) {
			_, err := ParseKey(typo)
			require.Error(t, err, typo)
			tried++
		}
		for i := range text {
			for _, c := range base62 {
				if byte(c) != text[i] {
					refused(text[:i] + string(c) + text[i+1:])
				}
			}
			if i > 0 && text[i] != text[i-1] {
				refused(text[:i-1] + string([]byte{text[i], text[i-1]}) + text[i+1:])
			}
		}
		assert.Greater(t, tried, 53*61)
	}
}

func FuzzParseKey(f *testing.F) {
	good := sample().Reveal()
	for _, seed := range []string{"", "phx_", good, good[:20], good + good, "phx_\xff" + good[5:], strings.ToUpper(good), "phx_" + strings.Repeat("_", 49)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseKey(text)
		if err != nil {
			require.ErrorIs(t, err, ErrUnauthenticated)
			if len(text) > 20 {
				require.NotContains(t, err.Error(), text)
			}
			require.Empty(t, key.Reveal())
			return
		}
		require.Equal(t, text, key.Reveal())
		require.NotContains(t, key.String(), text[17:])
		require.NotContains(t, Redact("key="+text), text[17:])
	})
}

func TestKeyInAuthorization(t *testing.T) {
	f := func(header, want string) {
		t.Helper()
		got, found := KeyIn(header)
		assert.Equal(t, want, got)
		assert.Equal(t, want != "", found)
	}
	f("Bearer phx_abc", "phx_abc")
	f("bearer   phx_abc ", "phx_abc")
	f("Bearer eyJhbGciOi", "")
	f("Basic phx_abc", "")
	f("phx_abc", "")
	f("Bearer", "")
	f("", "")
}

// TestTheSecretIsNeverPrinted prints keys in every way that this program has,
// alone and inside of other values.
func TestTheSecretIsNeverPrinted(t *testing.T) {
	key := sample()
	type inner struct{ hidden Key }
	type outer struct {
		Key     Key
		Pointer *Key
		List    []Key
		Map     map[string]Key
		Any     any
		hidden  inner
		chain   *inner
	}
	value := outer{Key: key, Pointer: &key, List: []Key{key}, Map: map[string]Key{"k": key}, Any: key, hidden: inner{key}, chain: &inner{key}}
	record := KeyRecord{ID: key.ID(), Hash: key.Hash()}
	refusal := unauthenticated("%v %s", key, key)
	printed := 0
	check := func(how, text string) {
		t.Helper()
		printed++
		for _, form := range []string{sampleSecret, fmt.Sprintf("%x", sampleSecret), fmt.Sprintf("%X", sampleSecret), fmt.Sprintf("% x", sampleSecret), fmt.Sprintf("%v", []byte(sampleSecret)), sampleSecret[:10]} {
			require.NotContains(t, text, form, how)
		}
	}
	for _, v := range []any{key, &key, value, &value, []any{value}, record, refusal, key.Hash(), struct{ k *Key }{&key}} {
		for verb := 'A'; verb <= 'z'; verb++ {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "60", ".5"} {
				format := "%" + flags + string(verb)
				check(format, fmt.Sprintf(format, v))
			}
		}
		check("Sprint", fmt.Sprint(v))
		check("Errorf", fmt.Errorf("create: %v", v).Error())
		text, err := json.Marshal(v)
		check("json", string(text)+fmt.Sprint(err))
		text, err = json.MarshalIndent(map[string]any{"v": v}, "", " ")
		check("json", string(text)+fmt.Sprint(err))
		text, err = xml.Marshal(v)
		check("xml", string(text)+fmt.Sprint(err))
		text, err = yaml.Marshal(v)
		check("yaml", string(text)+fmt.Sprint(err))
		var binary bytes.Buffer
		check("gob", fmt.Sprint(gob.NewEncoder(&binary).Encode(v))+binary.String())
		for name, text := range logged(v) {
			check(name, text)
		}
	}
	assert.Greater(t, printed, 4000)
	assert.Equal(t, "phx_8Vn3kQ0xTb2L_REDACTED", fmt.Sprintf("%x", key))
	assert.Equal(t, "phx_8Vn3kQ0xTb2L_REDACTED", key.GoString())
	text, err := json.Marshal(map[string]Key{"key": key})
	require.NoError(t, err)
	assert.JSONEq(t, `{"key": "phx_8Vn3kQ0xTb2L_REDACTED"}`, string(text))
}

// logged writes v with the loggers of the Collector and of the standard library.
func logged(v any) map[string]string {
	written := map[string]string{}
	var out bytes.Buffer
	for name, encoder := range map[string]zapcore.Encoder{
		"zap json":    zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
		"zap console": zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
	} {
		out.Reset()
		logger := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&out), zap.DebugLevel), zap.ErrorOutput(zapcore.AddSync(&out)))
		logger.Info("key", zap.Any("any", v), zap.Reflect("reflect", v))
		logger.Sugar().Infow("key", "v", v)
		logger.Sugar().Infof("%v %+v %#v", v, v, v)
		if s, ok := v.(fmt.Stringer); ok {
			logger.Info("key", zap.Stringer("stringer", s))
		}
		written[name] = out.String()
	}
	for name, handler := range map[string]slog.Handler{
		"slog json": slog.NewJSONHandler(&out, nil),
		"slog text": slog.NewTextHandler(&out, nil),
	} {
		out.Reset()
		slog.New(handler).LogAttrs(context.Background(), slog.LevelInfo, "key", slog.Any("v", v))
		written[name] = out.String()
	}
	return written
}

func TestRedact(t *testing.T) {
	key := sample().Reveal()
	assert.Equal(t, "GET /api/v1/apiKeys/phx_8Vn3kQ0xTb2L_REDACTED?a=phx_8Vn3kQ0xTb2L_REDACTED", Redact("GET /api/v1/apiKeys/"+key+"?a="+key))
	assert.Equal(t, "phx_short", Redact("phx_short"))
}

// TestHashesAreComparedInConstantTime proves that there is no other way: the
// type has no ==, Equal is crypto/subtle, and nothing else in the package reads
// the bytes.
func TestHashesAreComparedInConstantTime(t *testing.T) {
	assert.False(t, reflect.TypeFor[KeyHash]().Comparable())
	assert.False(t, reflect.TypeFor[KeyRecord]().Comparable())
	assert.False(t, reflect.TypeFor[Key]().Comparable())

	users := map[string]string{}
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			var calls []string
			reads := false
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					calls = append(calls, s.Sel.Name)
					reads = reads || s.Sel.Name == "sum"
				}
				return true
			})
			if reads {
				users[f.Name.Name] = strings.Join(calls, " ")
			}
		}
	}
	assert.Equal(t, map[string]string{"Equal": "ConstantTimeCompare sum sum", "Sum": "sum"}, users)
}

func TestHashes(t *testing.T) {
	key := sample()
	// printf %s KEY | sha256sum
	assert.Equal(t, "c608e0bd29f3173e2f03cf6fa1abe7e3ce871094f11edbdcde408b8fe834e4c3", fmt.Sprintf("%x", key.Hash().Sum()))
	assert.True(t, HashOf(key.Hash().Sum()).Equal(key.Hash()))
	assert.False(t, key.Hash().Equal(KeyHash{}))
	assert.False(t, key.Hash().Equal(newKey(sampleID, sampleSecret[1:]+"1").Hash()))
	assert.False(t, key.Hash().Equal(newKey("0"+sampleID[1:], sampleSecret).Hash()), "the hash is of one id")
	for i := range 256 {
		sum := key.Hash().Sum()
		sum[i/8] ^= 1 << (i % 8)
		assert.False(t, HashOf(sum).Equal(key.Hash()))
	}
}

func TestVerify(t *testing.T) {
	cfg := APIKeysConfig{}
	key, record, err := cfg.NewKey(KeyRequest{Name: "ci", Grants: Grants{{Role: RoleEditor, Namespace: "shop"}}, Lifetime: time.Hour}, noon)
	require.NoError(t, err)
	p, err := record.Verify(key, noon)
	require.NoError(t, err)
	assert.Equal(t, "api_key:"+key.ID(), p.Name())
	assert.Equal(t, "ci", p.Display)
	g := newGuard(t)
	assert.Equal(t, fmt.Sprintf("api_key:%s may policies.update: it holds editor:shop by the API key", key.ID()),
		g.Authorize(p, Update, Policies, "shop").Audit)

	f := func(r KeyRecord, k Key, now time.Time, caller, audit string) {
		t.Helper()
		p, err := r.Verify(k, now)
		var refusal *Refusal
		require.ErrorAs(t, err, &refusal)
		require.ErrorIs(t, err, ErrUnauthenticated)
		assert.Equal(t, caller, refusal.Caller)
		assert.Equal(t, audit, refusal.Audit)
		assert.Zero(t, p)
	}
	const unknown = "the API key is not accepted: it does not exist, or its secret is wrong"
	_, err = record.Verify(key, noon.Add(time.Hour-1))
	require.NoError(t, err)
	expired := "the API key " + key.ID() + " expired on 2026-03-11T13:00:00Z: create a new one"
	f(record, key, noon.Add(time.Hour), expired, expired)
	wrong := newKey(key.ID(), sampleSecret)
	f(record, wrong, noon, unknown, "the secret of API key "+key.ID()+" is wrong")
	f(record, wrong, noon.Add(2*time.Hour), unknown, "the secret of API key "+key.ID()+" is wrong") // not that it expired
	record.RevokedAt = noon.Add(-time.Minute)
	revoked := "the API key " + key.ID() + " was revoked on 2026-03-11T11:59:00Z: create a new one"
	f(record, key, noon, revoked, revoked)
	f(record, wrong, noon, unknown, "the secret of API key "+key.ID()+" is wrong")
	f(KeyRecord{ID: key.ID()}, key, noon, unknown, "the secret of API key "+key.ID()+" is wrong")

	// What the caller does with the record afterwards is not the principal's.
	record.RevokedAt = time.Time{}
	p, err = record.Verify(key, noon)
	require.NoError(t, err)
	record.Grants[0] = Grant{Role: RoleAdmin, Namespace: AllNamespaces}
	assert.False(t, g.Authorize(p, Create, Backup, "").Allowed())
}

func TestNewKeyRequests(t *testing.T) {
	limited, free := DefaultConfig().APIKeys, APIKeysConfig{}
	viewer := Grants{{Role: RoleViewer, Namespace: "*"}}
	expiry := func(c APIKeysConfig, r KeyRequest) time.Time {
		t.Helper()
		r.Name, r.Grants = "ci", viewer
		_, record, err := c.NewKey(r, noon)
		require.NoError(t, err)
		return record.ExpiresAt
	}
	assert.Equal(t, noon.AddDate(0, 0, 90), expiry(limited, KeyRequest{}))
	assert.Equal(t, noon.Add(time.Hour), expiry(limited, KeyRequest{Lifetime: time.Hour}))
	assert.Zero(t, expiry(free, KeyRequest{}))
	assert.Zero(t, expiry(APIKeysConfig{DefaultLifetime: time.Hour}, KeyRequest{Unending: true}))

	refused := func(c APIKeysConfig, r KeyRequest, want ...string) {
		t.Helper()
		key, record, err := c.NewKey(r, noon)
		require.EqualError(t, err, strings.Join(want, "\n"))
		assert.Empty(t, key.Reveal())
		assert.Empty(t, record.ID)
	}
	refused(limited, KeyRequest{Unending: true},
		"name: must not be empty",
		"grants: must have at least one entry",
		"lifetime: keys that do not expire are not allowed; the longest lifetime is 8784h0m0s")
	refused(limited, KeyRequest{Name: "a\nb", Grants: Grants{{Role: "owner", Namespace: "*"}, {Role: RoleAdmin}}, Lifetime: 9000 * time.Hour},
		`name: must have printable characters only, got "a\nb"`,
		`grants[0]: the role must be viewer, editor, operator or admin, got "owner"`,
		"grants[1]: the namespace must not be empty",
		"lifetime: must not be longer than 8784h0m0s, got 9000h0m0s")
	refused(free, KeyRequest{Name: "ci", Grants: viewer, Lifetime: -1}, "lifetime: must be positive, got -1ns")
	refused(free, KeyRequest{Name: "ci", Grants: viewer, Lifetime: 1, Unending: true}, "lifetime: must not be given for a key that does not expire")
}

func TestLastUseIsWrittenOnceAMinute(t *testing.T) {
	var stored time.Time
	writes := 0
	for s := range 600 {
		if at, changed := LastUse(stored, noon.Add(time.Duration(s)*time.Second)); changed {
			stored = at
			writes++
		}
	}
	assert.Equal(t, 10, writes)
	assert.Equal(t, noon.Add(9*time.Minute), stored)
	_, changed := LastUse(stored, noon)
	assert.False(t, changed, "time runs backwards")
}

func TestRandomKeysSurviveTheirText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune(base62)), keyIDLength+secretLength, keyIDLength+secretLength, -1).Draw(t, "text")
		key := newKey(text[:keyIDLength], text[keyIDLength:])
		read, err := ParseKey(key.Reveal())
		require.NoError(t, err)
		require.True(t, read.Hash().Equal(key.Hash()))
	})
}

var (
	_ io.Reader      = randomBytes{}
	_ fmt.Formatter  = Key{}
	_ fmt.GoStringer = Key{}
)
