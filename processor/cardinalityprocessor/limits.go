package cardinalityprocessor

import (
	"fmt"
	"sync"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/cardinality"
	"github.com/phoenix-platform/phoenix/internal/match"
)

// limits knows the budgets and which of them are exceeded.
type limits struct {
	logger *zap.Logger
	list   []limit

	mu    sync.Mutex
	state map[budget]bool // by budget: whether it was exceeded when last looked at
}

type limit struct {
	pattern match.Pattern
	max     uint64
}

// budget is one metric in one budget group.
type budget struct{ metric, group string }

func newLimits(configs []LimitConfig, logger *zap.Logger) (*limits, error) {
	l := &limits{logger: logger, state: map[budget]bool{}}
	for i, c := range configs {
		p, err := match.Compile(c.Match)
		if err != nil {
			return nil, fmt.Errorf("limits[%d].match: %w", i, err)
		}
		l.list = append(l.list, limit{p, uint64(c.MaxSeries)}) //nolint:gosec // validated
	}
	return l, nil
}

// of returns the limit of a metric and whether it is exceeded, nil if none
// applies.
func (l *limits) of(m *cardinality.MetricReport) *report.SeriesLimit {
	for _, c := range l.list {
		if c.pattern.Match(m.Name) {
			return &report.SeriesLimit{
				Match: c.pattern.String(), MaxSeries: c.max, Exceeded: m.Analysis.Series > c.max,
			}
		}
	}
	return nil
}

// check logs every change of state once.
func (l *limits) check(metrics []cardinality.MetricReport) {
	if len(l.list) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	next := make(map[budget]bool, len(l.state))
	for i := range metrics {
		m := &metrics[i]
		found := l.of(m)
		if found == nil {
			continue
		}
		b := budget{m.Name, m.Group}
		next[b] = found.Exceeded
		if found.Exceeded != l.state[b] {
			l.log(b, found, m.Analysis.Series)
		}
	}
	for b, exceeded := range l.state { // a metric that is gone
		if _, there := next[b]; exceeded && !there {
			l.logger.Info("Series limit is kept again: the metric is gone", zap.String("metric", b.metric), zap.String("group", b.group))
		}
	}
	l.state = next
}

func (l *limits) log(b budget, found *report.SeriesLimit, series uint64) {
	fields := []zap.Field{
		zap.String("metric", b.metric), zap.String("group", b.group),
		zap.Uint64("series", series), zap.Uint64("max_series", found.MaxSeries), zap.String("match", found.Match),
	}
	if found.Exceeded {
		l.logger.Warn("Series limit is exceeded; nothing is dropped. `phoenixctl top METRIC` shows which label to drop", fields...)
		return
	}
	l.logger.Info("Series limit is kept again", fields...)
}
