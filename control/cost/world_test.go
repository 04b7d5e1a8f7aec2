package cost

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/cardinality"
	"github.com/phoenix-platform/phoenix/internal/relabel"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// world is a metric whose series are all known: a value, or none, for each label.
type world struct {
	labels []worldLabel
	series [][]string
}

type worldLabel struct {
	domain series.Domain
	key    string
}

var worldLevels = map[series.Domain]report.Level{
	series.Resource: report.LevelResource, series.Scope: report.LevelScope, series.Point: report.LevelDataPoint,
}

// flat is a backend in which every attribute is a label of its own.
type flat struct{}

func (flat) Streams() bool                              { return false }
func (flat) MetricName(d cardinality.Descriptor) string { return d.Name }
func (flat) Label(_ series.Domain, key string) (cardinality.Label, bool) {
	return cardinality.Label{Name: key, Identity: key}, true
}

// describer describes the series of a world to a tracker.
type describer struct {
	world
	hasher *series.Hasher
	d      cardinality.Description
}

func (s *describer) Describe(i int) *cardinality.Description {
	s.d.Attributes = s.d.Attributes[:0]
	for l, value := range s.series[i] {
		if label := s.labels[l]; value != "" {
			s.d.Attributes = append(s.d.Attributes, cardinality.Attribute{
				Domain: label.domain, Key: label.key, Text: value, String: true, Sum: s.hasher.String(label.domain, label.key, value),
			})
		}
	}
	return &s.d
}

// report is what the cardinality processor's tracker counts of the world: exactly
// up to 8,192 series, by sketches of this precision beyond.
func (w world) report(tb testing.TB, seed uint64, precision uint8) report.Cardinality {
	tb.Helper()
	secret, err := series.ParseSecret(fmt.Sprintf("%016x%016x", seed*0x9e3779b97f4a7c15+1, seed))
	require.NoError(tb, err)
	hasher := series.NewHasher(secret)
	tracker := cardinality.New(cardinality.Settings{
		Hasher: hasher, Backend: flat{}, SubWindows: 4, SubWindow: time.Minute,
		MaxMetrics: 10, MaxAttributes: 64, Precision: precision, MaxBytes: 1 << 30, Start: noon,
	})
	d := cardinality.Descriptor{Name: "m", Type: cardinality.Sum}
	source := &describer{world: w, hasher: hasher}
	source.d = cardinality.Description{Descriptor: d, Parts: []uint64{1}}
	base := hasher.Identity(series.Identity{Name: "m"})
	hashes := make([]uint64, len(w.series))
	for i, values := range w.series {
		hashes[i] = base
		for l, value := range values {
			if value != "" {
				hashes[i] += hasher.String(w.labels[l].domain, w.labels[l].key, value)
			}
		}
	}
	tracker.Metric(d, "").Observe(hashes, source, nil)
	seen := tracker.Report(noon.Add(time.Second), 4, func(string) bool { return true })
	require.Len(tb, seen.Metrics, 1)
	a := seen.Metrics[0].Analysis
	m := report.MetricCardinality{
		Name: "m", Type: "sum", Series: a.Series, Streams: a.Streams, Estimated: a.Estimated, RelativeError: a.RelativeError,
		Attributes: []report.AttributeCardinality{},
	}
	for _, x := range a.Attributes {
		m.Attributes = append(m.Attributes, report.AttributeCardinality{
			Key: x.Key, Level: worldLevels[x.Domain], Label: x.Label, Distinct: x.Distinct,
			SeriesWithout: x.Without, Saving: a.Saving(x.Without),
		})
	}
	for _, g := range a.Groups {
		var names []string
		for _, i := range g.Members {
			names = append(names, qualified(m.Attributes[i]))
		}
		m.Groups = append(m.Groups, report.AttributeGroup{Attributes: names, SeriesWithout: g.Without, Saving: a.Saving(g.Without)})
	}
	return report.Cardinality{Backend: "prometheus", Metrics: []report.MetricCardinality{m}}
}

// after counts the series that the data path makes of the world under a rule.
func (w world) after(tb require.TestingT, rule policy.Rule) uint64 {
	plan, err := relabel.New(settings(rule))
	require.NoError(tb, err)
	left := map[string]bool{}
	for _, values := range w.series {
		var identity strings.Builder
		for _, domain := range []series.Domain{series.Resource, series.Scope, series.Point} {
			in, out := pcommon.NewMap(), pcommon.NewMap()
			for l, value := range values {
				if w.labels[l].domain == domain && value != "" {
					in.PutStr(w.labels[l].key, value)
				}
			}
			plan.Rewrite(domain, in, nil, out)
			for l, label := range w.labels {
				if value, there := out.Get(label.key); there && label.domain == domain {
					identity.WriteString(strconv.Itoa(l) + "=" + value.AsString() + ";")
				}
			}
		}
		left[identity.String()] = true
	}
	return uint64(len(left))
}

// settings are those that tag_consolidation makes of a rule.
func settings(rule policy.Rule) relabel.Settings {
	translate := func(texts []string, bare relabel.Levels) []relabel.Ref {
		var list []relabel.Ref
		levels := map[policy.Level]relabel.Levels{
			policy.LevelAny: bare, policy.LevelResource: relabel.OnResource, policy.LevelScope: relabel.OnScope, policy.LevelPoint: relabel.OnPoint,
		}
		for _, ref := range refs(texts) {
			list = append(list, relabel.Ref{Levels: levels[ref.Level], Key: ref.Key})
		}
		return list
	}
	a := rule.Attributes
	s := relabel.Settings{Drop: translate(a.Drop, relabel.Bare), DropScope: rule.Scope == policy.ScopeDrop}
	if a.Keep != nil {
		s.Keep = append([]relabel.Ref{}, translate(a.Keep, relabel.OnPoint)...)
	}
	for _, h := range a.HashBuckets {
		s.Buckets = append(s.Buckets, relabel.HashBuckets{Attribute: translate([]string{h.Attribute}, relabel.Bare)[0], Buckets: h.Buckets})
	}
	for _, m := range a.Map {
		s.Maps = append(s.Maps, relabel.ValueMap{Attribute: translate([]string{m.Attribute}, relabel.Bare)[0], Regex: m.Regex, Template: m.Template})
	}
	if a.TopK != nil {
		s.Ranked = &relabel.Ranked{Attribute: translate([]string{a.TopK.Attribute}, relabel.Bare)[0], Other: "other"}
	}
	return s
}
