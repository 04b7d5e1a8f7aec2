package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/phoenix-platform/phoenix/control/store"
)

// Times of history are Unix seconds, the beginning of a step.
const (
	fineSeconds   = int64(store.FineStep / time.Second)
	coarseSeconds = int64(store.CoarseStep / time.Second)
	// early is how far in the future a sample may be, for clocks that differ.
	early = 2 * store.FineStep
	// bulkRows is how many rows one INSERT takes. SQLite has at most 32766
	// arguments, PostgreSQL 65535.
	bulkRows = 200
)

// seriesName names a series of the history.
type seriesName struct{ kind, key string }

// slot is a step of a series.
type slot struct {
	seriesName
	at int64
}

// AppendSamples implements store.Recorder.
func (s *Store) AppendSamples(ctx context.Context, samples []store.Sample) (store.Appended, error) {
	var errs error
	for _, sample := range samples {
		errs = errors.Join(errs, sample.Check())
	}
	if errs != nil {
		return store.Appended{}, errs
	}
	var count store.Appended
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		count = store.Appended{}
		return t.appendSamples(ctx, samples, &count)
	})
	if err != nil {
		return store.Appended{}, fmt.Errorf("append %d samples: %w", len(samples), err)
	}
	return count, nil
}

func (t *tx) appendSamples(ctx context.Context, samples []store.Sample, count *store.Appended) error {
	ids, err := t.seriesIDs(ctx)
	if err != nil {
		return err
	}
	oldest, newest := keptSince(t.now, store.FineKept), t.now.Add(early).Unix()
	rows := bulk{table: "samples_fine", columns: "series_id, at, value", conflict: "(series_id, at) DO UPDATE SET value = excluded.value"}
	place := map[slot]int{} // where in rows, as no INSERT may meet one slot twice
	for _, sample := range samples {
		at := slot{seriesName{sample.Kind, sample.Key}, sample.Time.Unix() / fineSeconds * fineSeconds}
		if at.at < oldest || at.at > newest {
			count.OutOfTime++
			continue
		}
		id, err := t.seriesID(ctx, ids, at.seriesName)
		if err != nil {
			return err
		}
		if id == 0 {
			count.OverLimit++
			continue
		}
		count.Kept++
		if i, there := place[at]; there {
			rows.rows[i][2] = sample.Value
			continue
		}
		place[at] = len(rows.rows)
		rows.rows = append(rows.rows, []any{id, at.at, sample.Value})
		t.rollFrom(at.at)
	}
	return rows.insert(ctx, t.reader)
}

// rollFrom sees to it that the hour of a sample is rolled up, perhaps again.
func (t *tx) rollFrom(at int64) {
	hour := at / coarseSeconds * coarseSeconds
	if t.head.rolledUntil == 0 || hour < t.head.rolledUntil {
		t.head.rolledUntil = hour
	}
}

// keptSince returns the first hour that is kept. Only whole hours go, so that an
// hour is never rolled up from what is left of it.
func keptSince(now time.Time, kept time.Duration) int64 {
	return now.Add(-kept).Unix() / coarseSeconds * coarseSeconds
}

// seriesIDs returns all series: there are not many.
func (t *tx) seriesIDs(ctx context.Context) (map[seriesName]int64, error) {
	ids := map[seriesName]int64{}
	err := t.each(ctx, "SELECT id, kind, series_key FROM series", nil, func(row scanner) error {
		var id int64
		var name seriesName
		err := row.Scan(&id, &name.kind, &name.key)
		ids[name] = id
		return t.note(ctx, err)
	})
	return ids, err
}

// seriesID returns the id of a series, which may be new, or 0 if there is no
// room for it.
func (t *tx) seriesID(ctx context.Context, ids map[seriesName]int64, name seriesName) (int64, error) {
	if id := ids[name]; id != 0 || len(ids) >= t.store.engine.MaxSeries {
		return id, nil
	}
	var id int64
	if err := t.one(ctx, "INSERT INTO series (kind, series_key) VALUES ($1, $2) RETURNING id", []any{name.kind, name.key}, &id); err != nil {
		return 0, err
	}
	ids[name] = id
	return id, nil
}

// bulk is many rows for one table.
type bulk struct {
	table, columns string
	// conflict is what follows ON CONFLICT. Default: an error.
	conflict string
	rows     [][]any
}

func (b *bulk) insert(ctx context.Context, r reader) error {
	tail := ""
	if b.conflict != "" {
		tail = " ON CONFLICT " + b.conflict
	}
	for len(b.rows) > 0 {
		n := min(bulkRows, len(b.rows))
		var w where
		values := make([]string, 0, n)
		for _, row := range b.rows[:n] {
			marks := make([]string, 0, len(row))
			for _, value := range row {
				marks = append(marks, w.arg(value))
			}
			values = append(values, "("+strings.Join(marks, ", ")+")")
		}
		_, err := r.exec(ctx, "INSERT INTO "+b.table+" ("+b.columns+") VALUES "+strings.Join(values, ", ")+tail, w.args...)
		if err != nil {
			return err
		}
		b.rows = b.rows[n:]
	}
	return nil
}

// GetHistory implements store.HistoryReader.
func (r reader) GetHistory(ctx context.Context, query store.HistoryQuery) ([]store.HistoryPoint, error) {
	if err := errors.Join(query.Check(), checkFilters(query.Kind, query.Key)); err != nil {
		return nil, err
	}
	columns, table := "h.at, h.value, h.value, h.value, 1", "samples_fine"
	if query.Step == store.CoarseStep {
		columns, table = "h.at, h.mean, h.low, h.high, h.count", "samples_coarse"
	}
	var w where
	w.compare("s.kind", "=", query.Kind)
	w.compare("s.series_key", "=", query.Key)
	if !query.From.IsZero() {
		w.compare("h.at", ">=", query.From.Unix())
	}
	if !query.To.IsZero() {
		w.compare("h.at", "<", query.To.Unix())
	}
	points, err := collect(ctx, r,
		"SELECT "+columns+" FROM series s JOIN "+table+" h ON h.series_id = s.id"+w.String()+" ORDER BY h.at", w.args, scanPoint)
	if err != nil {
		return nil, fmt.Errorf("history of %s %s: %w", query.Kind, query.Key, err)
	}
	return points, nil
}

// scanValue reads the only column of a row.
func scanValue[T any](row scanner) (T, error) {
	var value T
	err := row.Scan(&value)
	return value, err
}

func scanPoint(row scanner) (store.HistoryPoint, error) {
	var p store.HistoryPoint
	var at int64
	err := row.Scan(&at, &p.Mean, &p.Low, &p.High, &p.Count)
	p.Time = time.Unix(at, 0).UTC()
	return p, err
}

// ListHistoryKeys implements store.HistoryReader.
func (r reader) ListHistoryKeys(ctx context.Context, kind string, request store.PageRequest) (store.Page[string], error) {
	if err := checkFilters(kind); err != nil {
		return store.Page[string]{}, err
	}
	l := listing[string]{
		table: "series", columns: "series_key", order: []string{"series_key"}, parts: []part{textPart},
		scan: scanValue[string],
		key:  func(key string) []any { return []any{key} },
	}
	l.where.compare("kind", "=", kind)
	return l.page(ctx, r, request)
}
