package archive_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/archive"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// sample has a record of each kind of version 1, and then those of version 2.
func sample() []archive.Record {
	return append(sample1(), archive.Record{Experiment: &archive.Experiment{
		Namespace: "shop", Name: "é", Spec: []byte("\x00\xff"), State: []byte("{}"), Evidence: []byte("e"), Phase: "Running", Active: true,
		Revision: 3, PromotedPolicy: "policies/shop/é", CreatedAt: at, CreatedBy: "a", UpdatedAt: at, UpdatedBy: "b",
	}})
}

func sample1() []archive.Record {
	digest := store.SumSHA256([]byte("x"))
	return []archive.Record{
		{Head: &archive.Head{
			PolicyVersion: 7, AuditSeq: 1, AuditHash: digest, RolledUntil: 1772366400,
			KillSwitch: archive.KillSwitch{On: true, Reason: "<fire>\n", At: at, By: "ada", Version: 3},
		}},
		{Revision: &archive.Revision{
			Namespace: "shop", Name: "é", Revision: 1, Spec: []byte("\x00\xff"), State: store.StateEnforced, Version: 7, At: at, By: "ada", RolledBackTo: 1,
		}},
		{Policy: &archive.Policy{Namespace: "shop", Name: "é", Revision: 1, CreatedAt: at, CreatedBy: "ada"}},
		{PriceModel: &archive.PriceModel{Name: "mine", Spec: []byte("{}"), Revision: 2, CreatedAt: at, CreatedBy: "a", UpdatedAt: at, UpdatedBy: "b"}},
		{APIKey: &archive.APIKey{
			ID: "k", Name: "n", Hash: digest, Scopes: []string{"a"}, Namespaces: []string{"b"}, CreatedAt: at, CreatedBy: "ada",
			ExpiresAt: at, RevokedAt: at, RevokedBy: "bob", LastUsedAt: at,
		}},
		{Audit: &archive.Audit{
			Seq: 1, Time: at, Principal: "ada", Action: "x", Outcome: store.OutcomeDone, Resource: "r", Namespace: "n", Origin: "o", RequestID: "q",
			Detail: map[string]string{"a": "b"}, Before: digest, After: digest, Previous: digest, Hash: digest,
		}},
		{Response: &archive.Response{Principal: "ada", Key: "1", Request: digest, Status: 201, Body: []byte("{}"), CreatedAt: at, ExpiresAt: at}},
		{Fact: &archive.Fact{Key: "id", Value: []byte{0}, Revision: 1, UpdatedAt: at, UpdatedBy: "ada"}},
		{History: &archive.History{
			Kind: "series", Key: "up", Fine: []archive.Fine{{At: 1772366400, Value: 0.1}, {At: 1772366700, Value: -3e300}},
			Coarse: []archive.Coarse{{At: 1772366400, Mean: 1. / 3, Low: 0, High: 1, Count: 12}},
		}},
	}
}

func written(tb testing.TB, records []archive.Record) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := archive.NewWriter(&b, at)
	require.NoError(tb, err)
	for _, r := range records {
		require.NoError(tb, w.Write(r))
	}
	require.NoError(tb, w.Close())
	return b.Bytes()
}

func read(r io.Reader) ([]archive.Record, error) {
	var records []archive.Record
	err := archive.Read(r, func(r archive.Record) error {
		records = append(records, r)
		return nil
	})
	return records, err
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for n := range len(sample()) + 1 {
		records, err := read(bytes.NewReader(written(t, sample()[:n])))
		require.NoError(t, err)
		assert.Equal(t, sample()[:n], append([]archive.Record{}, records...))
	}
}

// TestOldVersionsStayReadable reads backups that the versions of the format wrote.
// Do not write the files anew: people have such files.
func TestOldVersionsStayReadable(t *testing.T) {
	var newest string
	for version, want := range [][]archive.Record{sample1(), sample()} {
		lines, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("version%d.jsonl", version+1)))
		require.NoError(t, err)
		newest = string(lines)
		records, err := read(packed(t, newest))
		require.NoError(t, err)
		assert.Equal(t, want, records)
		assert.True(t, strings.HasPrefix(newest, fmt.Sprintf(`{"phoenix_store_backup":%d,`, version+1)))
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(written(t, sample())))
	require.NoError(t, err)
	now, err := io.ReadAll(unpacked)
	require.NoError(t, err)
	assert.Equal(t, newest, string(now), "what is written now is another format: it needs another version")
}

// TestTheLargestExperimentIsRead: all of its blobs are as large as the store
// takes them.
func TestTheLargestExperimentIsRead(t *testing.T) {
	large := archive.Record{Experiment: &archive.Experiment{
		Namespace: strings.Repeat("é", store.MaxName/2), Spec: bytes.Repeat([]byte("\xff"), store.MaxBlob),
		State: bytes.Repeat([]byte("\xfe"), store.MaxBlob), Evidence: bytes.Repeat([]byte("\xfd"), store.MaxBlob),
		CreatedBy: strings.Repeat("<", store.MaxText), UpdatedBy: strings.Repeat("<", store.MaxText),
	}}
	records, err := read(bytes.NewReader(written(t, []archive.Record{large})))
	require.NoError(t, err)
	assert.Equal(t, []archive.Record{large}, records)
}

func packed(tb testing.TB, text string) io.Reader {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(tb, errors.Join(err, w.Close()))
	return &b
}

func sealed(lines ...string) string {
	body := "{\"phoenix_store_backup\":1}\n" + strings.Join(lines, "")
	return body + fmt.Sprintf("{\"end\":{\"records\":%d,\"sha256\":%q}}\n", len(lines), store.SumSHA256([]byte(body)).String())
}

func TestWhatIsNoBackupIsRefused(t *testing.T) {
	fact := `{"fact":{"key":"a","value":"","revision":1,"updated_at":"2026-03-01T12:00:00Z","updated_by":""}}` + "\n"
	records, err := read(packed(t, sealed(fact)))
	require.NoError(t, err)
	require.Len(t, records, 1)
	points := strings.TrimSuffix(strings.Repeat(`{"t":1,"v":1},`, archive.MaxPoints+1), ",")
	for name, text := range map[string]string{
		"nothing":             "",
		"no line":             "hello",
		"no JSON":             "hello\n",
		"another JSON":        "{}\n",
		"no end":              "{\"phoenix_store_backup\":1}\n" + fact,
		"an end of another":   strings.Replace(sealed(fact), `"records":1`, `"records":2`, 1),
		"a wrong sum":         strings.Replace(sealed(fact), `"sha256":"`, `"sha256":"00`, 1),
		"a changed record":    strings.Replace(sealed(fact), `"key":"a"`, `"key":"b"`, 1),
		"more after the end":  sealed(fact) + fact,
		"a byte after it":     sealed(fact) + "\n",
		"two records":         sealed(strings.TrimSuffix(fact, "\n") + fact),
		"two in one":          sealed(strings.Replace(fact, "{", `{"head":{},`, 1)),
		"none":                sealed("{}\n"),
		"an unknown one":      sealed("{\"thing\":{}}\n"),
		"an unknown field":    sealed(strings.Replace(fact, `"key"`, `"kay":1,"key"`, 1)),
		"a wrong type":        sealed(strings.Replace(fact, `"a"`, `1`, 1)),
		"a time that is none": sealed(strings.Replace(fact, `2026-03-01`, `2026-13-01`, 1)),
		"too many points":     sealed(`{"history":{"kind":"k","key":"k","fine":[` + points + "]}}\n"),
	} {
		_, err := read(packed(t, text))
		require.ErrorIs(t, err, store.ErrCorrupt, name)
		require.ErrorContains(t, err, "line ", name)
	}
	_, err = read(packed(t, "{\"phoenix_store_backup\":3,\"more\":1}\n"))
	require.ErrorIs(t, err, store.ErrNewerSchema)
	require.NotErrorIs(t, err, store.ErrCorrupt)
}

// zeros is much that packs well.
type zeros struct{ left int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.left)
	clear(p[:n])
	z.left -= n
	return n, nil
}

func TestABombIsRefusedWithLittleMemory(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, "{\"phoenix_store_backup\":1}\n")
	require.NoError(t, err)
	_, err = io.Copy(w, &zeros{left: 16 << 20})
	require.NoError(t, errors.Join(err, w.Close()))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = read(&b)
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, store.ErrCorrupt)
	require.ErrorContains(t, err, "too long")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20))
}

func TestErrorsOfBothSidesAreGivenBack(t *testing.T) {
	failure := errors.New("enough")
	err := archive.Read(bytes.NewReader(written(t, sample())), func(archive.Record) error { return failure })
	require.Equal(t, failure, err)
	whole := written(t, sample())
	for n := 0; n < len(whole); n += 7 {
		_, err := read(io.MultiReader(bytes.NewReader(whole[:n]), failing{failure}))
		require.ErrorIs(t, err, failure)
		require.NotErrorIs(t, err, store.ErrCorrupt)
	}
	for n := range 300 {
		w, err := archive.NewWriter(&short{room: n}, at)
		for _, r := range sample() {
			if err == nil {
				err = w.Write(r)
			}
		}
		if err == nil {
			err = w.Close()
		}
		require.ErrorIs(t, err, io.ErrShortBuffer, n)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type short struct{ room int }

func (s *short) Write(p []byte) (int, error) {
	if s.room -= len(p); s.room < 0 {
		return 0, io.ErrShortBuffer
	}
	return len(p), nil
}

// TestWrongContentOfADamagedFileIsDamage: the one who restores wants to hear
// that the file is damaged, not that somebody tampered with it.
func TestWrongContentOfADamagedFileIsDamage(t *testing.T) {
	tampered := &store.ChainError{Seq: 1}
	use := func(archive.Record) error { return tampered }
	require.ErrorIs(t, archive.Read(bytes.NewReader(written(t, sample())), use), store.ErrChainBroken)
	text := strings.Replace(sealed(`{"fact":{"key":"a"}}`+"\n"), `"a"`, `"b"`, 1)
	err := archive.Read(packed(t, text), use)
	require.ErrorIs(t, err, store.ErrCorrupt)
	require.NotErrorIs(t, err, store.ErrChainBroken)
}

// FuzzRead looks for input that breaks the reader, or is taken for a backup and
// does not come out the same when it is written again.
func FuzzRead(f *testing.F) {
	whole := written(f, sample())
	f.Add(whole, false)
	f.Add(whole[:len(whole)/2], false)
	unpacked, err := gzip.NewReader(bytes.NewReader(whole))
	require.NoError(f, err)
	text, err := io.ReadAll(unpacked)
	require.NoError(f, err)
	f.Add(text, true)
	f.Add([]byte(sealed("{\"fact\":{}}\n")), true)
	f.Add([]byte(sealed("{\"FACT\":{\"Key\":\"\\ud800\"}}\n")), true)
	f.Fuzz(func(t *testing.T, input []byte, lines bool) {
		in := io.Reader(bytes.NewReader(input))
		if lines {
			in = packed(t, string(input))
		}
		records, err := read(in)
		if err != nil {
			require.True(t, errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNewerSchema), err)
			return
		}
		again, err := read(bytes.NewReader(written(t, records)))
		require.NoError(t, err)
		require.Len(t, again, len(records))
		require.Equal(t, written(t, slices.Clone(records)), written(t, again))
	})
}
