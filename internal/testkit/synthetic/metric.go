// Package synthetic makes large metrics whose exact cardinality is known:
// labels that save nothing alone and everything together, labels that save a
// tenth, half and nearly all, and labels that are a trap.
package synthetic

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// The labels of a metric, and what dropping each one alone saves.
const (
	// LabelPod, LabelPodUID and LabelInstance name the same thing: each alone
	// saves nothing, the three together nearly everything.
	LabelPod      = "pod"
	LabelPodUID   = "pod_uid"
	LabelInstance = "instance"
	// LabelZone has three values and follows from the pod: alone it saves
	// nothing.
	LabelZone = "zone"
	// LabelCluster has one value: it saves nothing, alone or in a group.
	LabelCluster = "cluster"
	// LabelRoute saves 60 %.
	LabelRoute = "route"
	// LabelRetry is absent but for one series in ten, and saves 10 %.
	LabelRetry = "retry"
	// LabelDirection has two values and saves 50 %.
	LabelDirection = "direction"
	// LabelUser has a hundred values and saves 99 %.
	LabelUser = "user"
)

// labelNames is the order of a row.
var labelNames = [...]string{
	LabelPod, LabelPodUID, LabelInstance, LabelZone, LabelCluster, LabelRoute, LabelRetry, LabelDirection, LabelUser,
}

const (
	routes, directions, users, zones = 3, 2, 100, 3
	// seriesStep is what three pods make: every third pod retries one of its
	// three routes, so that one series in ten is a retry.
	seriesStep = (3*routes + 1) * directions * users
	absent     = 0 // the index of "no such label"; values count from 1
)

// row is a series: the index of its value of each label.
type row [len(labelNames)]uint16

// Settings says which metric to make.
type Settings struct {
	// Name is the metric's. Default: synthetic_requests_total.
	Name string
	// Series is how many series it has, a multiple of 2,000. Default: 200,000.
	Series int
	// Seed decides the labels' values and the order of the series, not their
	// number.
	Seed uint64
}

// Metric is a generated counter and knows its exact cardinality. It is
// immutable, so several goroutines may read it.
type Metric struct {
	name   string
	rows   []row
	values [len(labelNames)][]string // by label, by index; index 0 is unused
}

// New makes a metric.
func New(s Settings) (*Metric, error) {
	if s.Name == "" {
		s.Name = "synthetic_requests_total"
	}
	if s.Series == 0 {
		s.Series = 200_000
	}
	if s.Series < 0 || s.Series%seriesStep != 0 {
		return nil, fmt.Errorf("series: must be a multiple of %d, got %d", seriesStep, s.Series)
	}
	pods := 3 * s.Series / seriesStep
	if pods > 1<<16-1 {
		return nil, fmt.Errorf("series: at most %d, got %d", (1<<16-1)/3*seriesStep, s.Series)
	}
	random := rand.New(rand.NewPCG(s.Seed, uint64(s.Series)))
	m := &Metric{name: s.Name, rows: rows(pods), values: values(pods, random)}
	random.Shuffle(len(m.rows), func(i, j int) { m.rows[i], m.rows[j] = m.rows[j], m.rows[i] })
	return m, nil
}

func rows(pods int) []row {
	made := make([]row, 0, pods/3*seriesStep)
	for pod := range pods {
		for route := range routes {
			attempts := 1
			if pod%3 == 0 && route == 0 {
				attempts = 2
			}
			for i := range attempts * directions * users {
				p := uint16(pod + 1)
				made = append(made, row{
					p, p, p, uint16(pod%zones + 1), 1, uint16(route + 1),
					uint16(i / (directions * users)), // absent at the first attempt
					uint16(i/users%directions + 1), uint16(i%users + 1),
				})
			}
		}
	}
	return made
}

func values(pods int, random *rand.Rand) [len(labelNames)][]string {
	deployment := fmt.Sprintf("checkout-%08x", random.Uint32())
	var v [len(labelNames)][]string
	add := func(label int, value string) { v[label] = append(v[label], value) }
	for label := range v {
		add(label, "") // absent
	}
	for i := range pods {
		add(0, fmt.Sprintf("%s-%05x", deployment, i))
		add(1, fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", random.Uint32(), random.Uint32()>>16,
			random.Uint32()>>20, random.Uint32()>>20, random.Uint64()>>16))
		add(2, fmt.Sprintf("10.%d.%d.%d:8080", random.IntN(256), i>>8, i&0xff))
	}
	for i := range zones {
		add(3, fmt.Sprintf("zone-%c", 'a'+i))
	}
	add(4, fmt.Sprintf("cluster-%d", random.IntN(100)))
	for _, route := range []string{"/cart", "/pay", `/search?q="a\b"`} { // the last one has to be escaped
		add(5, route)
	}
	add(6, "1")
	add(7, "in")
	add(7, "out")
	for i := range users {
		add(8, fmt.Sprintf("user-%02d-%04x", i, random.Uint32()>>16))
	}
	return v
}

// Name is the metric's name.
func (m *Metric) Name() string { return m.name }

// Series is the exact number of series.
func (m *Metric) Series() int { return len(m.rows) }

// Labels lists the labels, in no particular order.
func (*Metric) Labels() []string { return slices.Clone(labelNames[:]) }

// Distinct counts a label's values by a set of them. Absent is no value.
func (m *Metric) Distinct(label string) int {
	i := slices.Index(labelNames[:], label)
	if i < 0 {
		return 0
	}
	seen := map[string]struct{}{}
	for _, r := range m.rows {
		seen[m.values[i][r[i]]] = struct{}{}
	}
	maps.DeleteFunc(seen, func(value string, _ struct{}) bool { return value == "" })
	return len(seen)
}

// SeriesWithout counts, by a set of them, the series that stay if all these
// labels are dropped. A label that the metric lacks changes nothing.
func (m *Metric) SeriesWithout(labels ...string) int {
	var dropped []int
	for i, name := range labelNames {
		if slices.Contains(labels, name) {
			dropped = append(dropped, i)
		}
	}
	seen := make(map[row]struct{}, len(m.rows))
	for _, r := range m.rows {
		for _, i := range dropped {
			r[i] = absent
		}
		seen[r] = struct{}{}
	}
	return len(seen)
}
