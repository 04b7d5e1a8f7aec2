package sqlstore

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/phoenix-platform/phoenix/control/store"
)

const (
	// rollDelay is how long after its end an hour is rolled up: samples come
	// late by minutes.
	rollDelay = 10 * time.Minute
	// batchRows bounds the rows that one transaction deletes, so that writers
	// wait for milliseconds.
	batchRows = 1000
)

// Maintain implements store.Store.
func (s *Store) Maintain(ctx context.Context) (store.Maintenance, error) {
	var done store.Maintenance
	for _, step := range []struct {
		what  string
		batch func(context.Context, *tx) (n int, more bool, err error)
		count *int
	}{
		{"roll up history", rollHour, &done.HoursRolled},
		{"delete old samples", trim("samples_fine", store.FineKept), &done.SamplesDeleted},
		{"delete old hours", trim("samples_coarse", store.CoarseKept), &done.SamplesDeleted},
		{"delete empty series", trimSeries, &done.SeriesDeleted},
		{"delete expired answers", trimResponses, &done.ResponsesDeleted},
	} {
		for more := true; more; {
			err := s.write(ctx, func(ctx context.Context, t *tx) error {
				n, again, err := step.batch(ctx, t)
				if err == nil {
					*step.count += n
					more = again
				}
				return err
			})
			if err != nil {
				return done, fmt.Errorf("%s: %w", step.what, err)
			}
		}
	}
	return done, nil
}

// rollHour rolls up one hour. It may do so again: the result replaces the one
// before.
func rollHour(ctx context.Context, t *tx) (n int, more bool, err error) {
	hour, now := t.head.rolledUntil, t.now.Add(-rollDelay).Unix()
	if hour == 0 || hour+coarseSeconds > now {
		return 0, false, nil
	}
	if hour+2*coarseSeconds <= now { // after a pause there are hours without samples
		if hour, err = nextHour(ctx, t, hour); err != nil {
			return 0, false, err
		}
		if hour+coarseSeconds > now {
			t.head.rolledUntil = now / coarseSeconds * coarseSeconds
			return 0, false, nil
		}
	}
	// CROSS JOIN makes SQLite go by series, whose samples are together.
	_, err = t.exec(ctx, "INSERT INTO samples_coarse (series_id, at, mean, low, high, count)"+
		" SELECT s.id, $1, AVG(f.value), MIN(f.value), MAX(f.value), COUNT(*)"+
		" FROM series s CROSS JOIN samples_fine f WHERE f.series_id = s.id AND f.at >= $1 AND f.at < $2 GROUP BY s.id"+
		" ON CONFLICT (series_id, at) DO UPDATE SET mean = excluded.mean, low = excluded.low, high = excluded.high, count = excluded.count",
		hour, hour+coarseSeconds)
	if err != nil {
		return 0, false, err
	}
	t.head.rolledUntil = hour + coarseSeconds
	return 1, t.head.rolledUntil+coarseSeconds <= now, nil
}

// nextHour returns the first hour not before this one that has samples.
func nextHour(ctx context.Context, t *tx, hour int64) (int64, error) {
	var at int64
	// Series by series: their samples are sorted by time.
	err := t.one(ctx, "SELECT COALESCE(MIN((SELECT MIN(f.at) FROM samples_fine f WHERE f.series_id = s.id AND f.at >= $1)), $2) FROM series s",
		[]any{hour, int64(math.MaxInt64 / 2)}, &at)
	return at / coarseSeconds * coarseSeconds, err
}

// trim deletes what is past its time, series by series.
func trim(table string, kept time.Duration) func(context.Context, *tx) (int, bool, error) {
	return func(ctx context.Context, t *tx) (n int, more bool, err error) {
		// What is not rolled up yet stays.
		before := min(keptSince(t.now, kept), t.head.rolledUntil)
		ids, err := collect(ctx, t.reader,
			"SELECT s.id FROM series s WHERE EXISTS (SELECT 1 FROM "+table+" h WHERE h.series_id = s.id AND h.at < $1) ORDER BY s.id",
			[]any{before}, scanValue[int64])
		if err != nil {
			return 0, false, err
		}
		for _, id := range ids {
			if n >= batchRows {
				return n, true, nil
			}
			deleted, err := t.exec(ctx, "DELETE FROM "+table+" WHERE series_id = $1 AND at IN"+
				" (SELECT h.at FROM "+table+" h WHERE h.series_id = $1 AND h.at < $2 ORDER BY h.at LIMIT $3)", id, before, int64(batchRows-n))
			if err != nil {
				return n, false, err
			}
			n += deleted
		}
		return n, n >= batchRows, nil
	}
}

func trimSeries(ctx context.Context, t *tx) (n int, more bool, err error) {
	n, err = t.exec(ctx, "DELETE FROM series WHERE id IN (SELECT s.id FROM series s WHERE"+
		" NOT EXISTS (SELECT 1 FROM samples_fine f WHERE f.series_id = s.id) AND"+
		" NOT EXISTS (SELECT 1 FROM samples_coarse c WHERE c.series_id = s.id) LIMIT $1)", int64(batchRows))
	return n, n >= batchRows, err
}

func trimResponses(ctx context.Context, t *tx) (n int, more bool, err error) {
	n, err = t.exec(ctx, "DELETE FROM responses WHERE (principal, request_key) IN"+
		" (SELECT principal, request_key FROM responses WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
		t.now.UnixMicro(), int64(batchRows))
	return n, n >= batchRows, err
}
