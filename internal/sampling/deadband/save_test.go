package deadband_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	d "github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

func save(tb testing.TB, b *d.Band, final bool) (parts [][]byte) {
	tb.Helper()
	require.NoError(tb, b.Save(final, func(part []byte) error {
		parts = append(parts, part)
		return nil
	}))
	return parts
}

// A stream that is cut anywhere by a clean restart is decided about as if nothing had happened.
func TestACleanRestartChangesNothing(t *testing.T) {
	for seed := range 300 {
		for _, s := range []stream{numbers.Example(seed), histograms.Example(seed)} {
			whole, cut := newBand(t, d.Settings{}), newBand(t, d.Settings{})
			for i := range s.points {
				if i%3 == 2 {
					next := newBand(t, d.Settings{})
					for _, part := range save(t, cut, true) {
						_, err := next.Restore(part, s.points[i].Now)
						require.NoError(t, err)
					}
					require.Equal(t, cut.Stats(), next.Stats())
					cut = next
				}
				var got, want d.Before
				require.Equal(t, whole.Observe(&s.points[i], &s.rule, &want), cut.Observe(&s.points[i], &s.rule, &got), "stream %d, point %d", seed, i)
				require.Equal(t, want.Sum, got.Sum)
				require.Equal(t, want.Histogram, got.Histogram)
				require.Equal(t, want.Exponential, got.Exponential)
			}
		}
	}
}

func TestAfterACrashTheNextPointPassesAndNothingOldIsSent(t *testing.T) {
	b := newBand(t, d.Settings{})
	var before d.Before
	for s := uint64(0); s <= 30; s += 15 {
		b.Observe(point(0, d.Gauge, s, spatial.Int(5)), percent, &before)
		b.Observe(histogram(0, s, 5), percent, &before)
	}
	restored := newBand(t, d.Settings{})
	for _, part := range save(t, b, false) {
		n, err := restored.Restore(part, origin)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		n, err = restored.Restore(part, origin)
		require.NoError(t, err)
		require.Zero(t, n, "what is known is not taken twice")
	}
	require.Equal(t, d.Outcome{Reason: d.Late}, restored.Observe(point(0, d.Gauge, 15, spatial.Int(5)), percent, &before))
	require.Equal(t, d.Outcome{Reason: d.Restored}, restored.Observe(point(0, d.Gauge, 45, spatial.Int(5)), percent, &before))
	require.Equal(t, d.Outcome{Reason: d.Restored}, restored.Observe(histogram(0, 45, 5), percent, &before))
	require.Equal(t, d.Outcome{Reason: d.Within}, restored.Observe(point(0, d.Gauge, 60, spatial.Int(5)), percent, &before))
}

func TestWhatCannotBeRestoredIsSaid(t *testing.T) {
	b := newBand(t, d.Settings{Identity: 7})
	var before d.Before
	b.Observe(point(0, d.Gauge, 0, spatial.Int(5)), percent, &before)
	part := save(t, b, true)[0]
	_, err := newBand(t, d.Settings{Identity: 8}).Restore(part, origin)
	require.ErrorIs(t, err, d.ErrForeign)
	for i := range part {
		damaged := slices.Clone(part)
		damaged[i] ^= 0x40
		_, err = newBand(t, d.Settings{Identity: 7}).Restore(damaged, origin)
		require.Error(t, err, "byte %d", i)
		_, err = newBand(t, d.Settings{Identity: 7}).Restore(part[:i], origin)
		require.ErrorIs(t, err, d.ErrDamaged)
	}
	full := errors.New("full")
	require.ErrorIs(t, b.Save(true, func([]byte) error { return full }), full)
}

func TestPartsAreAboutAMebibyteAndSmallPerSeries(t *testing.T) {
	b := newBand(t, d.Settings{})
	var before d.Before
	const n = 200_000
	for i := range n {
		b.Observe(point(i, d.Counter, 0, spatial.Int(1000)), percent, &before)
	}
	total := 0
	next := newBand(t, d.Settings{})
	for _, part := range save(t, b, true) {
		require.LessOrEqual(t, len(part), 1<<20+1<<10)
		total += len(part)
		_, err := next.Restore(part, origin)
		require.NoError(t, err)
	}
	t.Logf("%.1f bytes a series", float64(total)/n)
	require.Equal(t, n, next.Stats().Series)
}

// FuzzRestore feeds parts whose checksum is right and whose payload is anything. What was restored must bear points.
func FuzzRestore(f *testing.F) {
	b := newBand(f, d.Settings{})
	for seed := range 40 {
		for _, s := range []stream{numbers.Example(seed), histograms.Example(seed)} {
			var before d.Before
			for i := range s.points {
				s.points[i].Series = key(seed)
				b.Observe(&s.points[i], &s.rule, &before)
			}
		}
	}
	for _, part := range save(f, b, true) {
		f.Add(d.Payload(part))
	}
	for i := range 8 {
		alone := newBand(f, d.Settings{})
		var before d.Before
		s := histograms.Example(i)
		for j := range s.points {
			alone.Observe(&s.points[j], &s.rule, &before)
		}
		for _, part := range save(f, alone, i%2 == 0) {
			f.Add(d.Payload(part))
		}
	}
	streams := []stream{numbers.Example(1), histograms.Example(2)}
	f.Fuzz(func(t *testing.T, payload []byte) {
		restored := newBand(t, d.Settings{MaxSeries: 100})
		_, _ = restored.Restore(d.Part(payload), origin)
		require.LessOrEqual(t, restored.Stats().Series, 100)
		for _, part := range save(t, restored, true) {
			again := newBand(t, d.Settings{})
			_, err := again.Restore(part, origin)
			require.NoError(t, err)
			require.Equal(t, restored.Stats().Series, again.Stats().Series)
		}
		for _, s := range streams {
			var before d.Before
			for i := range s.points {
				restored.Observe(&s.points[i], &s.rule, &before)
			}
		}
	})
}
