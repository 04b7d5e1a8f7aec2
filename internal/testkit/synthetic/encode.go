package synthetic

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// escape is how the exposition format writes a label's value.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// WriteText writes the metric as Prometheus exposition text. Every series has
// the value v.
func (m *Metric) WriteText(w io.Writer, v uint64) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# TYPE %s counter\n", m.name)
	for _, r := range m.rows {
		b.WriteString(m.name)
		separator := byte('{')
		for i, value := range r {
			if value == absent {
				continue
			}
			b.WriteByte(separator)
			b.WriteString(labelNames[i])
			b.WriteString(`="`)
			_, _ = escape.WriteString(b, m.values[i][value]) // a bufio.Writer keeps its error
			b.WriteByte('"')
			separator = ','
		}
		fmt.Fprintf(b, "} %d\n", v)
	}
	return b.Flush()
}

// Origin says who sends the metric and when.
type Origin struct {
	// Service becomes the resource attribute service.name.
	Service string
	// Start is when the sender started, Time when it measured.
	Start, Time time.Time
}

// Batches yields the metric as cumulative monotonic sums of at most maxPoints
// points, all series once. Every series has the value v.
func (m *Metric) Batches(maxPoints int, v int64, from Origin) iter.Seq[pmetric.Metrics] {
	return func(yield func(pmetric.Metrics) bool) {
		for begin := 0; begin < len(m.rows); begin += maxPoints {
			end := min(begin+maxPoints, len(m.rows))
			if !yield(m.batch(m.rows[begin:end], v, from)) {
				return
			}
		}
	}
}

func (m *Metric) batch(rows []row, v int64, from Origin) pmetric.Metrics {
	start, now := pcommon.NewTimestampFromTime(from.Start), pcommon.NewTimestampFromTime(from.Time)
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", from.Service)
	metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName(m.name)
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	sum.DataPoints().EnsureCapacity(len(rows))
	for _, r := range rows {
		p := sum.DataPoints().AppendEmpty()
		p.SetStartTimestamp(start)
		p.SetTimestamp(now)
		p.SetIntValue(v)
		p.Attributes().EnsureCapacity(len(r))
		for i, value := range r {
			if value != absent {
				p.Attributes().PutStr(labelNames[i], m.values[i][value])
			}
		}
	}
	return md
}
