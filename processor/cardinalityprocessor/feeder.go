package cardinalityprocessor

import (
	"strconv"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/backend"
	"github.com/phoenix-platform/phoenix/internal/cardinality"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// chunk is how many points are hashed before they are looked up: long enough
// that the cache misses of the look-ups overlap, short enough that hashes stay
// in the first-level cache.
const chunk = 256

// feeder feeds a tracker from pdata. It hashes every point and describes those
// that the tracker asks for. One feeder serves one call of process.
type feeder struct {
	hasher  *series.Hasher
	tracker *cardinality.Tracker
	// labels is set if the backend has labels, scopes if those of the scope are
	// among them.
	labels, scopes bool
	targetInfo     bool
	groupBy        string

	hashes []uint64 // of the current run
	index  []int    // the points that they belong to
	misses []int

	resource, scope      pcommon.Map
	scopeName, scopeVer  string
	upper                []cardinality.Attribute // resource and scope, described
	upperText, pointText []byte
	described, targetRun bool
	points               walk.Points
	description          cardinality.Description
	floats               []float64
	arm                  armFeeder
}

var _ cardinality.Source = (*feeder)(nil)

// refused counts what could not be counted, by reason.
type refused [reasons]int

type refusal int

const (
	unsupportedType refusal = iota
	emptyName

	reasons
)

// String is the value of the attribute reason.
func (r refusal) String() string { return [reasons]string{"unsupported_type", "empty_name"}[r] }

// feed counts a batch and returns what it had to refuse.
func (f *feeder) feed(md pmetric.Metrics) (bad refused) {
	f.arm.begin()
	for _, rm := range md.ResourceMetrics().All() {
		f.resource = rm.Resource().Attributes()
		resourceHash := f.hasher.Map(series.Resource, f.resource)
		group, grouped := f.group(f.resource)
		f.scope, f.scopeName, f.scopeVer = pcommon.Map{}, "", ""
		f.arm.enterResource(f.resource)
		if f.targetInfo && rm.ScopeMetrics().Len() > 0 {
			f.feedTargetInfo(resourceHash, group)
		}
		for _, sm := range rm.ScopeMetrics().All() {
			base := resourceHash + f.enterScope(sm.Scope())
			for _, m := range sm.Metrics().All() {
				f.feedMetric(m, base, group, grouped, &bad)
			}
		}
	}
	return bad
}

// release lets go of the batch, so that a feeder in the pool keeps none alive.
func (f *feeder) release() {
	f.resource, f.scope, f.scopeName, f.scopeVer = pcommon.Map{}, pcommon.Map{}, "", ""
	f.points, f.description.Descriptor = walk.Points{}, cardinality.Descriptor{}
	f.upper, f.description.Attributes = forget(f.upper), forget(f.description.Attributes)
	f.described = false
	f.arm.release()
}

// keepAttributes is up to how many described attributes a feeder keeps room for.
const keepAttributes = 256

// forget empties a list over its whole length, for it may have been longer.
func forget(list []cardinality.Attribute) []cardinality.Attribute {
	if cap(list) > keepAttributes {
		return nil
	}
	clear(list[:cap(list)])
	return list[:0]
}

// enterScope makes a scope the current one and returns its hash.
func (f *feeder) enterScope(scope pcommon.InstrumentationScope) uint64 {
	f.described = false
	f.arm.enterScope(scope)
	f.scope, f.scopeName, f.scopeVer = scope.Attributes(), scope.Name(), scope.Version()
	hash := f.hasher.Map(series.Scope, f.scope)
	if f.scopeName != "" {
		hash += f.hasher.String(series.Scope, "name", f.scopeName)
	}
	if f.scopeVer != "" {
		hash += f.hasher.String(series.Scope, "version", f.scopeVer)
	}
	return hash
}

// group returns the budget group that a set of attributes names.
func (f *feeder) group(attributes pcommon.Map) (value string, ok bool) {
	if f.groupBy == "" {
		return "", true
	}
	v, ok := attributes.Get(f.groupBy)
	if !ok {
		return "", false
	}
	if v.Type() == pcommon.ValueTypeStr {
		return v.Str(), true
	}
	return v.AsString(), true
}

// feedTargetInfo counts the series that tells the other attributes of a
// resource: there is one if the resource has a part of job or instance and
// anything else.
func (f *feeder) feedTargetInfo(hash uint64, group string) {
	identifying := 0
	for key := range f.resource.All() {
		if backend.Identifying(key) {
			identifying++
		}
	}
	if identifying == 0 || identifying == f.resource.Len() {
		return
	}
	d := cardinality.Descriptor{Name: "target_info", Type: cardinality.Gauge}
	f.hashes = append(f.hashes[:0], hash)
	f.index = append(f.index[:0], 0)
	f.targetRun = true
	f.described = false
	f.flush(d, group)
	f.targetRun = false
	f.described = false
}

func (f *feeder) feedMetric(m pmetric.Metric, base uint64, group string, grouped bool, bad *refused) {
	points, ok := walk.Of(m)
	if !ok {
		bad[unsupportedType]++
		return
	}
	n := points.Len()
	if m.Name() == "" {
		bad[emptyName] += n
		return
	}
	f.points = points
	if f.arm.on {
		f.arm.enterMetric(m)
	}
	d := describe(m, &points)
	base += f.hasher.Identity(series.Identity{Name: d.Name, Unit: d.Unit, Kind: kind(&points)})
	f.hashes, f.index = f.hashes[:0], f.index[:0]
	for i := range n {
		if points.Flags(i).NoRecordedValue() { // the end of a series is no sample of it
			if f.arm.on {
				f.arm.stale(i)
			}
			continue
		}
		attributes := points.Attributes(i)
		if !grouped {
			if g, _ := f.group(attributes); g != group {
				f.flush(d, group)
				group = g
			}
		}
		f.hashes = append(f.hashes, base+f.hasher.Map(series.Point, attributes))
		f.index = append(f.index, i)
		if len(f.hashes) == chunk {
			f.flush(d, group)
		}
	}
	f.flush(d, group)
}

// flush hands the collected run to the tracker.
func (f *feeder) flush(d cardinality.Descriptor, group string) {
	if len(f.hashes) == 0 {
		return
	}
	f.description.Descriptor = d
	if m := f.tracker.Metric(d, group); m != nil {
		f.misses = m.Observe(f.hashes, f, f.misses)
	} else {
		f.tracker.Overflow(d, group, f.hashes)
	}
	if f.arm.on {
		f.arm.flush()
	}
	f.hashes, f.index = f.hashes[:0], f.index[:0]
}

// Describe describes point i of the current run.
func (f *feeder) Describe(i int) *cardinality.Description {
	if !f.described {
		f.describeUpper()
	}
	d := &f.description
	d.Attributes = append(d.Attributes[:0], f.upper...)
	if f.targetRun {
		d.Parts = backend.AppendNumber(d.Parts[:0])
		return d
	}
	f.pointText = f.pointText[:0]
	d.Attributes, f.pointText = f.appendMap(d.Attributes, f.pointText, series.Point, f.points.Attributes(f.index[i]))
	d.Parts = f.appendParts(d.Parts[:0], f.index[i])
	return d
}

// describeUpper describes the resource and the scope, once for all of their
// points.
func (f *feeder) describeUpper() {
	f.described = true
	f.upper, f.upperText = f.appendMap(f.upper[:0], f.upperText[:0], series.Resource, f.resource)
	if f.targetRun {
		for i := range f.upper {
			f.upper[i].Promoted = !backend.Identifying(f.upper[i].Key)
		}
		return
	}
	if !f.labels || f.scopes {
		f.upper = f.appendString(f.upper, "name", f.scopeName)
		f.upper = f.appendString(f.upper, "version", f.scopeVer)
	}
	f.upper, f.upperText = f.appendMap(f.upper, f.upperText, series.Scope, f.scope)
}

// appendString describes a field of the scope that is no attribute.
func (f *feeder) appendString(dst []cardinality.Attribute, key, value string) []cardinality.Attribute {
	if value == "" {
		return dst
	}
	sum := f.hasher.String(series.Scope, key, value)
	return append(dst, cardinality.Attribute{Domain: series.Scope, Key: key, Sum: sum, Text: value, String: true})
}

// appendMap describes attributes. text holds the written form of values that
// are no strings; the slices of it that were handed out stay valid when it
// grows.
func (f *feeder) appendMap(
	dst []cardinality.Attribute, text []byte, d series.Domain, m pcommon.Map,
) ([]cardinality.Attribute, []byte) {
	if m == (pcommon.Map{}) {
		return dst, text
	}
	for key, value := range m.All() {
		a := cardinality.Attribute{Domain: d, Key: key}
		if value.Type() == pcommon.ValueTypeStr {
			a.Text, a.String = value.Str(), true
			a.Sum = f.hasher.String(d, key, a.Text)
		} else {
			a.Sum = f.hasher.Value(d, key, value)
			if f.labels {
				from := len(text)
				text = appendText(text, value)
				a.Text = unsafe.String(unsafe.SliceData(text[from:]), len(text)-from) //nolint:gosec // text is only appended to while a is in use
			}
		}
		dst = append(dst, a)
	}
	return dst, text
}

// appendText writes a value as a database with string labels does.
func appendText(dst []byte, v pcommon.Value) []byte {
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return strconv.AppendInt(dst, v.Int(), 10)
	case pcommon.ValueTypeBool:
		return strconv.AppendBool(dst, v.Bool())
	default:
		return append(dst, v.AsString()...)
	}
}

// appendParts lists the series that the backend makes of point i.
func (f *feeder) appendParts(dst []uint64, i int) []uint64 {
	if !f.labels {
		return backend.AppendNumber(dst)
	}
	switch f.points.Type() {
	case pmetric.MetricTypeHistogram:
		p := f.points.Histogram(i)
		f.floats = f.floats[:0]
		for j := range p.ExplicitBounds().Len() {
			f.floats = append(f.floats, p.ExplicitBounds().At(j))
		}
		return backend.AppendHistogram(dst, f.floats, p.HasSum())
	case pmetric.MetricTypeSummary:
		q := f.points.Summary(i).QuantileValues()
		f.floats = f.floats[:0]
		for j := range q.Len() {
			f.floats = append(f.floats, q.At(j).Quantile())
		}
		return backend.AppendSummary(dst, f.floats)
	case pmetric.MetricTypeEmpty, pmetric.MetricTypeGauge, pmetric.MetricTypeSum, pmetric.MetricTypeExponentialHistogram:
	}
	return backend.AppendNumber(dst)
}
