package keyrate_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/sampling/keyrate"
)

// After a restart items are sampled as before, and the next interval has the
// probabilities that it would have had.
func TestRestartChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := keyrate.Settings{Total: 500, PerGroup: 200}
		w := newWorld(t, s, zipf(60, 10_000, steady(1))...)
		for range 12 {
			w.interval()
		}
		state, err := w.table.Save()
		require.NoError(t, err)
		s.Interval = interval
		after, err := keyrate.New(s)
		require.NoError(t, err)
		defer after.Close()
		require.NoError(t, after.Restore(state))
		assert.Equal(t, w.table.Stats().Keys, after.Stats().Keys)
		for id := range uint64(60) {
			assert.Equal(t, w.table.Find(id+1).Threshold(), after.Find(id+1).Threshold(), "key %d", id+1)
		}
		for _, table := range []*keyrate.Table{w.table, after} {
			for _, source := range w.sources {
				n := int(source.rate(0) * interval.Seconds())
				k := table.Find(source.id)
				k.Count(n, float64(n), int(float64(n)*k.Threshold().Probability()))
			}
			table.Adjust(interval)
		}
		for id := range uint64(60) {
			want, got := w.table.Find(id+1).Threshold().Probability(), after.Find(id+1).Threshold().Probability()
			assert.InEpsilon(t, want, got, 0.05, "key %d", id+1)
		}
	})
}

// A state that is damaged, of a newer version, or nonsense is refused whole.
func TestStatesThatAreRefused(t *testing.T) {
	key := `{"id":"1","threshold":0,"average":{"came":1,"represented":1},"own":1,"in":1}`
	for text, want := range map[string]error{
		``:                         keyrate.ErrDamaged,
		`null`:                     keyrate.ErrDamaged,
		`{"version":0}`:            keyrate.ErrDamaged,
		`{"version":2,"keys":[]}`:  keyrate.ErrNewerVersion,
		`{"version":1,"keys":[{}]`: keyrate.ErrDamaged,
		`{"version":1,"keys":[` + strings.Replace(key, `"own":1`, `"own":0`, 1) + `]}`:                keyrate.ErrDamaged,
		`{"version":1,"keys":[` + strings.Replace(key, `"id":"1"`, `"id":"?"`, 1) + `]}`:              keyrate.ErrDamaged,
		`{"version":1,"keys":[` + strings.Replace(key, `"threshold":0`, `"threshold":1e18`, 1) + `]}`: keyrate.ErrDamaged,
		`{"version":1,"keys":[` + strings.Replace(key, `"came":1`, `"came":-1`, 1) + `]}`:             keyrate.ErrDamaged,
		`{"version":1,"keys":[` + key + `],"total":{"level":0,"besides":0}}`:                          keyrate.ErrDamaged,
		`{"version":1,"keys":[` + key + `],"groups":{"a":{"level":1,"besides":2}}}`:                   keyrate.ErrDamaged,
		`{"version":1,"keys":[` + key + `],"groups":{"a":{"level":1,"besides":0.2}}}`:                 nil,
	} {
		table, err := keyrate.New(keyrate.Settings{Total: 1, PerGroup: 1})
		require.NoError(t, err)
		err = table.Restore([]byte(text))
		if want == nil {
			require.NoError(t, err, text)
			assert.NotNil(t, table.Find(1), text)
		} else {
			require.ErrorIs(t, err, want, text)
			assert.Zero(t, table.Stats().Keys, text)
		}
		table.Close()
	}
}

// No more is restored than there is room for.
func TestRestoreIsBounded(t *testing.T) {
	large, err := keyrate.New(keyrate.Settings{})
	require.NoError(t, err)
	defer large.Close()
	for id := range uint64(100) {
		large.Add(id, "", "label").Count(1, 1, 1)
	}
	large.Adjust(time.Second)
	state, err := large.Save()
	require.NoError(t, err)
	small, err := keyrate.New(keyrate.Settings{MaxKeys: 10})
	require.NoError(t, err)
	defer small.Close()
	require.NoError(t, small.Restore(state))
	assert.EqualValues(t, 10, small.Stats().Keys)
}

func FuzzRestore(f *testing.F) {
	table, err := keyrate.New(keyrate.Settings{Total: 10, PerGroup: 5})
	require.NoError(f, err)
	for id := range uint64(5) {
		table.Add(id, []string{"a", "b"}[id%2], "label").Count(10, 20, 5)
	}
	table.Adjust(time.Second)
	state, err := table.Save()
	require.NoError(f, err)
	table.Close()
	f.Add(state)
	f.Add([]byte(`{"version":1,"keys":[{"id":"zz","threshold":3,"average":{"came":1e15,"represented":1e15},"own":2147483647,"in":1}],"total":{"level":1e6,"besides":-1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := keyrate.New(keyrate.Settings{Total: 10, PerGroup: 5, MaxKeys: 100})
		require.NoError(t, err)
		defer table.Close()
		if table.Restore(data) != nil {
			require.Zero(t, table.Stats().Keys)
			return
		}
		// What was taken up works, and can be saved again.
		table.Add(1, "", "").Count(100, 100, 10)
		table.Adjust(time.Second)
		for _, k := range table.Report(100).Keys {
			require.Positive(t, k.Probability)
			require.LessOrEqual(t, k.Probability, 1.0)
		}
		again, err := table.Save()
		require.NoError(t, err)
		require.True(t, json.Valid(again))
	})
}
