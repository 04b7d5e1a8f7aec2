package fidelity

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// The engine's settings: those of a Prometheus server, but for the bounds.
const (
	lookback     = 5 * time.Minute
	queryTimeout = 2 * time.Second
	maxSamples   = 5_000_000
	subqueryStep = time.Minute
)

func newEngine() *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		Logger: slog.New(slog.DiscardHandler), MaxSamples: maxSamples, Timeout: queryTimeout, LookbackDelta: lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return subqueryStep.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true, Parser: newParser(),
	})
}

// Querier implements storage.Queryable.
func (a *arm) Querier(mint, maxt int64) (storage.Querier, error) {
	return tsdb.NewBlockQuerier(tsdb.NewRangeHead(a.head, mint, maxt), mint, maxt)
}

// Appender implements storage.Appendable, for recording rules.
func (a *arm) Appender(ctx context.Context) storage.Appender { return a.head.Appender(ctx) }

// answer is what a query says at an instant.
type answer struct {
	vector promql.Vector
	err    error
}

// bounded says that the query took too much; that is no answer.
func (a answer) bounded() bool {
	var timeout promql.ErrQueryTimeout
	var canceled promql.ErrQueryCanceled
	var many promql.ErrTooManySamples
	return errors.As(a.err, &timeout) || errors.As(a.err, &canceled) || errors.As(a.err, &many)
}

// ask evaluates a query at an instant.
func ask(ctx context.Context, engine *promql.Engine, q storage.Queryable, expr string, at time.Time) answer {
	query, err := engine.NewInstantQuery(ctx, q, nil, expr, at)
	if err != nil {
		return answer{err: err}
	}
	defer query.Close()
	result := query.Exec(ctx)
	if result.Err != nil {
		return answer{err: result.Err}
	}
	switch v := result.Value.(type) {
	case promql.Vector:
		return answer{vector: append(promql.Vector(nil), v...)}
	case promql.Scalar:
		return answer{vector: promql.Vector{{T: v.T, F: v.V}}}
	}
	return answer{err: errors.New("the answer is no instant vector")}
}

// askRange evaluates a query at instants up to the last one.
func askRange(ctx context.Context, engine *promql.Engine, q storage.Queryable, expr string, from, to time.Time, step time.Duration) ([]promql.Vector, error) {
	query, err := engine.NewRangeQuery(ctx, q, nil, expr, from, to, step)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	result := query.Exec(ctx)
	matrix, err := result.Matrix()
	if err != nil {
		return nil, err
	}
	answers := make([]promql.Vector, to.Sub(from)/step+1)
	for _, s := range matrix {
		for _, p := range s.Floats {
			i := (p.T - from.UnixMilli()) / step.Milliseconds()
			answers[i] = append(answers[i], promql.Sample{Metric: s.Metric, T: p.T, F: p.F})
		}
		for _, p := range s.Histograms {
			i := (p.T - from.UnixMilli()) / step.Milliseconds()
			answers[i] = append(answers[i], promql.Sample{Metric: s.Metric, T: p.T, H: p.H.Copy()})
		}
	}
	return answers, nil
}
