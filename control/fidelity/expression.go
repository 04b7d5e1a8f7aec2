package fidelity

import (
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// newParser reads what a Prometheus without feature flags does, and
// experimental functions.
func newParser() parser.Parser {
	return parser.NewParser(parser.Options{EnableExperimentalFunctions: true})
}

// reads is what a query needs: the series of these names, from so far back.
type reads struct {
	names map[string]bool
	// any says that it does not name all that it reads.
	any bool
	// span is how far back it reads, without the engine's lookback.
	span time.Duration
}

// add joins what another one reads, from an instant that lies so far back.
func (r *reads) add(other reads, back time.Duration) {
	for name := range other.names {
		if r.names == nil {
			r.names = map[string]bool{}
		}
		r.names[name] = true
	}
	r.any = r.any || other.any
	r.span = max(r.span, other.span+back)
}

// selector is what selects series in a query, and from when.
type selector struct {
	text     string
	matchers []*labels.Matcher
	// from and to say how far back its samples lie.
	from, to time.Duration
}

// inspect finds out what an expression reads, and why its answers on two arms
// cannot be compared, if that is so.
func inspect(expr parser.Expr) (r reads, selectors []selector, unable string) {
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		vs, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		s, why := selectorOf(vs, path)
		if why != "" {
			unable = why
		}
		selectors = append(selectors, s)
		names, unnamed := namesOf(vs)
		own := reads{any: unnamed, span: s.from, names: map[string]bool{}}
		for _, name := range names {
			own.names[name] = true
		}
		r.add(own, 0)
		return nil
	})
	return r, selectors, unable
}

// selectorOf adds up ranges and offsets on the way to a selector.
func selectorOf(vs *parser.VectorSelector, path []parser.Node) (s selector, unable string) {
	s = selector{text: (&parser.VectorSelector{Name: vs.Name, LabelMatchers: vs.LabelMatchers}).String(), matchers: vs.LabelMatchers}
	offsets := []time.Duration{vs.OriginalOffset}
	fixed := vs.Timestamp != nil
	for _, node := range path {
		switch n := node.(type) {
		case *parser.MatrixSelector:
			s.from += n.Range
		case *parser.SubqueryExpr:
			s.from += n.Range
			offsets = append(offsets, n.OriginalOffset)
			fixed = fixed || n.Timestamp != nil
		}
	}
	for _, offset := range offsets {
		if offset < 0 {
			unable = "it reads the future (a negative offset)"
		}
		s.from += max(offset, 0)
		s.to += max(offset, 0)
	}
	if fixed {
		unable = "it reads a fixed time (@), which may lie before the experiment"
	}
	return s, unable
}

// namesOf are the names that a selector may find. unnamed: they are not known.
func namesOf(vs *parser.VectorSelector) (names []string, unnamed bool) {
	if vs.Name != "" {
		return []string{ofAlert(vs.Name, vs.LabelMatchers)}, false
	}
	for _, m := range vs.LabelMatchers {
		if m.Name != model.MetricNameLabel {
			continue
		}
		switch {
		case m.Type == labels.MatchEqual && m.Value != "":
			return []string{m.Value}, false
		case m.Type == labels.MatchRegexp && len(m.SetMatches()) > 0:
			return m.SetMatches(), false
		}
	}
	return nil, true
}

// The series in which rules keep the state of alerts.
var stateNames = []string{"ALERTS", "ALERTS_FOR_STATE"}

// ofAlert adds to the name of a series of states that of its alert.
func ofAlert(name string, ms []*labels.Matcher) string {
	for _, m := range ms {
		if slices.Contains(stateNames, name) && m.Name == model.AlertNameLabel && m.Type == labels.MatchEqual {
			return name + "{" + m.Value + "}"
		}
	}
	return name
}

// operandsOf are what an alert compares. Its own result is empty until it fires,
// so that two arms agree on it however wrong one is.
func operandsOf(expr parser.Expr) []string {
	var list []string
	var collect func(parser.Expr)
	collect = func(e parser.Expr) {
		switch n := e.(type) {
		case *parser.ParenExpr:
			collect(n.Expr)
			return
		case *parser.BinaryExpr:
			if n.Op.IsSetOperator() || n.Op.IsComparisonOperator() && !n.ReturnBool {
				collect(n.LHS)
				collect(n.RHS)
				return
			}
		}
		if readsSeries(e) && e.Type() == parser.ValueTypeVector {
			list = append(list, e.String())
		}
	}
	collect(expr)
	return list
}

func readsSeries(expr parser.Expr) bool {
	return len(parser.ExtractSelectors(expr)) > 0
}
