package insight

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/report"
)

// slow makes the number of its calls, and takes a while.
func slow(calls *atomic.Int64, takes time.Duration) func(context.Context) (int64, error) {
	return func(context.Context) (int64, error) {
		n := calls.Add(1)
		time.Sleep(takes)
		return n, nil
	}
}

func TestAValueIsServedWhileTheNextIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(zap.NewNop())
		defer w.close()
		f := &fresh[int64]{least: time.Second}
		var calls atomic.Int64
		get := func() (int64, time.Duration) {
			t.Helper()
			began := time.Now()
			n, err := f.get(t.Context(), w, slow(&calls, 100*time.Millisecond))
			require.NoError(t, err)
			return n, time.Since(began)
		}
		f2 := func(want int64, waited time.Duration) {
			t.Helper()
			n, took := get()
			assert.Equal(t, want, n)
			assert.Equal(t, waited, took)
		}
		f2(1, 100*time.Millisecond)
		// It took a tenth of a second, so it is new for two.
		time.Sleep(1900 * time.Millisecond)
		f2(1, 0)
		time.Sleep(200 * time.Millisecond)
		f2(1, 0) // and while the next is made
		f2(1, 0)
		time.Sleep(200 * time.Millisecond)
		f2(2, 0)
		assert.EqualValues(t, 2, calls.Load())
		// After a pause nobody is told what was long ago.
		time.Sleep(time.Minute)
		f2(3, 100*time.Millisecond)
	})
}

func TestManyWaitForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(zap.NewNop())
		defer w.close()
		f := &fresh[int64]{least: time.Second}
		var calls, answers atomic.Int64
		for range 100 {
			go func() {
				n, err := f.get(t.Context(), w, slow(&calls, time.Second))
				assert.NoError(t, err)
				answers.Add(n)
			}()
		}
		// One that does not wait so long stops none of the others.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := f.get(ctx, w, slow(&calls, time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.EqualValues(t, 1, calls.Load())
		assert.EqualValues(t, 100, answers.Load())
	})
}

func TestWhatWasForgottenDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(zap.NewNop())
		defer w.close()
		f := &fresh[int64]{least: time.Hour}
		var calls atomic.Int64
		go func() { _, _ = f.get(t.Context(), w, slow(&calls, time.Second)) }()
		time.Sleep(500 * time.Millisecond)
		f.forget() // what is being made may be of before
		n, err := f.get(t.Context(), w, slow(&calls, time.Second))
		require.NoError(t, err)
		assert.EqualValues(t, 2, n)
		n, err = f.get(t.Context(), w, slow(&calls, time.Second))
		require.NoError(t, err)
		assert.EqualValues(t, 2, n)
	})
}

func TestFailuresAndPanicsAreErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(zap.NewNop())
		f := &fresh[int]{least: time.Second}
		_, err := f.get(t.Context(), w, func(context.Context) (int, error) { return 0, errors.New("no") })
		require.EqualError(t, err, "no")
		_, err = f.get(t.Context(), w, func(context.Context) (int, error) { panic("oh") })
		require.EqualError(t, err, "panic: oh")
		w.close()
		w.close()
		_, err = f.get(t.Context(), w, func(context.Context) (int, error) { return 1, nil })
		require.ErrorIs(t, err, errClosed)
	})
}

func TestCloseEndsWhatIsBeingMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(zap.NewNop())
		f := &fresh[int]{least: time.Second}
		go func() {
			_, err := f.get(context.Background(), w, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
			assert.ErrorIs(t, err, context.Canceled)
		}()
		synctest.Wait()
		w.close()
	})
}

func TestSpansAreWholeSteps(t *testing.T) {
	f := func(span, want time.Duration) {
		t.Helper()
		assert.Equal(t, want, wholeSteps(span, time.Minute, 10*time.Minute))
	}
	f(0, 0)
	f(time.Second, time.Minute)
	f(time.Minute, time.Minute)
	f(61*time.Second, 2*time.Minute)
	f(9*time.Minute+1, 0) // the whole window
	assert.Equal(t, time.Second, wholeSteps(time.Second, 0, time.Minute))
}

func TestReportsThatNobodyAsksForAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(zap.NewNop())
		defer w.close()
		asked := 0
		r := newReports(Settings{MaxAge: time.Second, Cardinality: func(_ context.Context, point string, _ report.CardinalityQuery) ([]report.Cardinality, error) {
			asked++
			return []report.Cardinality{{Point: point, To: time.Now(), Window: time.Hour, SubWindow: time.Minute}}, nil
		}}, w)
		for i := range 40 {
			_, err := r.get(t.Context(), everything, "p", time.Duration(i)*time.Minute, i%2 == 0)
			require.NoError(t, err)
		}
		assert.LessOrEqual(t, len(r.kinds), maxSpans+2, "spans of the window are bounded")
		time.Sleep(2 * time.Minute)
		_, err := r.get(t.Context(), everything, "p", 0, false)
		require.NoError(t, err)
		assert.Len(t, r.kinds, 1)
	})
}

func TestRatesAreMeasuredOverMinutes(t *testing.T) {
	var m meter
	begin := time.Unix(1000, 0)
	points := uint64(0)
	read := func(at time.Duration, per uint64) (float64, time.Duration) {
		points += per
		rates, over := m.read(report.Cardinality{To: begin.Add(at), Metrics: []report.MetricCardinality{{Name: "a", Points: points}}})
		for _, rate := range rates {
			return rate, over
		}
		return 0, over
	}
	f := func(at time.Duration, per uint64, want float64, wantOver time.Duration) {
		t.Helper()
		rate, over := read(at, per)
		assert.InDelta(t, want, rate, 1e-9)
		assert.Equal(t, wantOver, over)
	}
	f(0, 0, 0, 0)
	f(time.Second, 100, 0, 0) // too short to tell
	f(time.Minute, 500, 10, time.Minute)
	for i := range 60 { // ten more minutes at 20 a second
		_, _ = read(time.Minute+time.Duration(i+1)*10*time.Second, 200)
	}
	rate, over := read(11*time.Minute+time.Second, 20)
	assert.InDelta(t, 20, rate, 0.5)
	assert.GreaterOrEqual(t, over, meterSpan)
	assert.Less(t, over, meterSpan+meterStep+time.Minute)
	assert.LessOrEqual(t, len(m.marks), 4)
}
