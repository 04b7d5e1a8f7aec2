package adaptivesamplerprocessor

import (
	"context"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/phoenix-platform/phoenix/internal/sampling/consistent"
	"github.com/phoenix-platform/phoenix/internal/sampling/keyrate"
	"github.com/phoenix-platform/phoenix/internal/sampling/template"
)

// recordBatch is what is needed while a batch is sampled. It belongs to one
// goroutine, from begin to end, and is used again by other batches.
type recordBatch struct {
	l         *logs
	reader    consistent.Reader
	templates template.Reader
	sizer     plog.ProtoMarshaler
	rules     *spanRules
	traces    traceRates // nil: records are decided without regard to traces
	flag      bool       // the flag of a sampled trace keeps a record

	// A key has one threshold for the whole batch, whenever intervals end.
	byID  map[uint64]int32
	rates []recordRate

	// The methods as values, made once.
	removeResource func(plog.ResourceLogs) bool
	removeScope    func(plog.ScopeLogs) bool
	removeRecord   func(plog.LogRecord) bool

	at    resourceOfRecords
	rate  *recordRate // of the record at hand
	tally recordTally
}

// recordRate is a key within a batch.
type recordRate struct {
	key      *keyrate.Key
	id       uint64
	severity severity
	service  string
	ours     sampling.Threshold // by the targets
	floor    sampling.Threshold
	// enforced and preview are ours at the level of the budgets of that number; of
	// -1 ours.
	enforced, preview leveled

	came, kept, leftOut int
	represented         float64
	template            string // empty until one is left out
}

// resourceOfRecords is what is known of the resource at hand.
type resourceOfRecords struct {
	service           string
	id                uint64 // of the service
	enforced, preview int    // budgets; -1: none
	bounded           bool   // by a target or an enforced budget
	trace             sampling.Threshold
	entry             int // of tally.services
}

func newRecordBatch(l *logs) *recordBatch {
	b := &recordBatch{l: l, byID: map[uint64]int32{}}
	b.removeResource, b.removeScope, b.removeRecord = b.resource, b.scope, b.record
	return b
}

func (b *recordBatch) begin() {
	b.rules = b.l.budgets.inForce.Load()
	b.tally.begin(len(b.rules.budgets))
	switch b.l.core.cfg.Logs.WithTraces {
	case WithTracesFlag:
		b.flag = true
	case WithTracesNone:
	case WithTracesSampled, "":
		b.traces = b.l.core.traceRates()
	}
}

// end counts the batch and forgets it. It returns how many records are kept.
func (b *recordBatch) end(ctx context.Context) int {
	for i := range b.rates {
		r := &b.rates[i]
		r.key.Count(r.came, r.represented, r.kept)
		b.offer(r, r.enforced.budget)
		b.offer(r, r.preview.budget)
	}
	if b.l.summary != nil {
		b.l.summary.add(b.rates)
	}
	kept := b.tally.end(ctx, b.l, b.rules)
	if len(b.rates) > manyRates {
		b.byID, b.rates = map[uint64]int32{}, nil
	}
	clear(b.byID)
	clear(b.rates)
	b.rates, b.rate, b.rules, b.traces, b.at = b.rates[:0], nil, nil, nil, resourceOfRecords{}
	return kept
}

// offer tells a budget what targets leave it of a key: see offers.
func (b *recordBatch) offer(r *recordRate, budget int) {
	if budget >= 0 && b.l.targets {
		b.rules.budgets[budget].flow.offers.add(r.key, r.ours, r.came)
	}
}

func (b *recordBatch) resource(rl plog.ResourceLogs) bool {
	b.enter(rl.Resource().Attributes())
	if !b.rules.sizes || b.at.enforced < 0 && b.at.preview < 0 {
		rl.ScopeLogs().RemoveIf(b.removeScope)
		return rl.ScopeLogs().Len() == 0
	}
	size, came, preview := b.sizer.ResourceLogsSize(rl), b.tally.came, b.tally.flow(b.at.preview)
	rl.ScopeLogs().RemoveIf(b.removeScope)
	empty, left := rl.ScopeLogs().Len() == 0, 0
	if !empty {
		left = b.sizer.ResourceLogsSize(rl)
	}
	if b.tally.came > came {
		b.tally.measureBytes(b.at.enforced, size, left)
		// What would be left out is of average size.
		now := b.tally.flow(b.at.preview)
		b.tally.measureBytes(b.at.preview, size, int(float64(size)*float64(now.out-preview.out)/float64(max(1, now.in-preview.in))))
	}
	return empty
}

func (b *recordBatch) scope(sl plog.ScopeLogs) bool {
	sl.LogRecords().RemoveIf(b.removeRecord)
	return sl.LogRecords().Len() == 0
}

// enter looks at what all records of a resource have in common.
func (b *recordBatch) enter(attributes pcommon.Map) {
	at := &b.at
	at.service = text(attributes, serviceName)
	at.id = serviceID(at.service)
	at.enforced, at.preview = b.rules.find(attributes)
	at.bounded = at.enforced >= 0 || b.l.bounded(at.service)
	at.entry = b.tally.service(at.service)
	at.trace = sampling.NeverSampleThreshold
	if b.traces != nil {
		if t, ok := b.traces.threshold(attributes); ok {
			at.trace = t
		}
	}
	b.rate = nil
}

// record samples one record.
func (b *recordBatch) record(r plog.LogRecord) bool {
	b.tally.came++
	at := &b.at
	if !at.bounded && at.preview < 0 {
		b.tally.represented++ // what it came with does not matter, so it is not read
		b.tally.kept[recordPassed]++
		return keepIt
	}
	if r.EventName() == summaryEvent {
		b.tally.represented++
		b.tally.kept[recordSummary]++
		return keepIt
	}
	b.find(r)
	in := b.reader.ReadRecord(r.Attributes(), r.TraceID())
	represented := consistent.Represented(in)
	rate := b.rate
	rate.came++
	rate.represented += represented
	b.tally.represented += represented
	if b.flag && r.Flags().IsSampled() {
		return b.keepWithTrace(r, in)
	}
	return b.decide(r, in)
}

// keepWithTrace lets a record go on with what it came with.
func (b *recordBatch) keepWithTrace(r plog.LogRecord, in consistent.Incoming) bool {
	b.tally.problem(in.Problem)
	b.rate.kept++
	b.measure(true, true)
	b.certain()
	if !b.at.bounded {
		b.tally.kept[recordPassed]++
		return keepIt
	}
	b.tally.kept[recordTrace]++
	b.reader.WriteRecord(r.Attributes(), in, consistent.Keep(in))
	return keepIt
}

// decide samples a record by its randomness.
func (b *recordBatch) decide(r plog.LogRecord, came consistent.Incoming) bool {
	rate, at := b.rate, &b.at
	in, drawn := b.withRandomness(r, came)
	b.tally.problem(in.Problem)
	floor := rate.floor // below it no target and no budget acts
	if !r.TraceID().IsEmpty() {
		floor = lower(floor, at.trace)
	}
	targets := consistent.Decide(in, lower(rate.ours, floor))
	if targets.Keep {
		rate.kept++
	}
	d, ours, preview := targets, rate.ours, true
	if at.enforced >= 0 {
		ours = b.leveled(&rate.enforced, at.enforced)
		d = consistent.Decide(in, lower(ours, floor))
	}
	if at.preview >= 0 {
		preview = consistent.Decide(in, lower(b.leveled(&rate.preview, at.preview), floor)).Keep
	}
	b.measure(d.Keep, preview)
	why := b.why(in, ours)
	if d.Keep && why != recordSampled {
		b.certain()
	}
	switch {
	case !at.bounded:
		b.tally.kept[recordPreviewOr(recordPassed, preview)]++
		return keepIt
	case !d.Keep:
		return b.leaveOut(targets.Keep)
	}
	b.tally.kept[recordPreviewOr(why, preview)]++
	if drawn && d.Threshold == sampling.AlwaysSampleThreshold {
		in = came // the number had no say, so it is not worth its bytes
	}
	b.reader.WriteRecord(r.Attributes(), in, d)
	return keepIt
}

func recordPreviewOr(otherwise int, kept bool) int {
	if kept {
		return otherwise
	}
	return recordPreview
}

// why says why a record is kept: ours is the threshold without floors and traces.
func (b *recordBatch) why(in consistent.Incoming, ours sampling.Threshold) int {
	switch {
	case ours.ShouldSample(in.Randomness), in.Known && !sampling.ThresholdGreater(ours, in.Threshold):
		return recordSampled
	case b.rate.floor.ShouldSample(in.Randomness):
		return recordFloor
	default:
		return recordTrace
	}
}

func (b *recordBatch) leaveOut(byBudget bool) bool {
	why := leftOutSampled
	if byBudget {
		why = leftOutBudget
	}
	b.tally.services[b.at.entry].leftOut[why]++
	b.rate.leftOut++
	if b.rate.template == "" && b.l.summary != nil {
		b.rate.template = b.templates.Text()
	}
	return removeIt
}

// withRandomness gives a record that has none what its attribute says, or a
// random number: then drawn is true.
func (b *recordBatch) withRandomness(r plog.LogRecord, in consistent.Incoming) (_ consistent.Incoming, drawn bool) {
	if in.HasRandomness {
		return in, false
	}
	if name := b.l.core.cfg.Logs.Randomness; name != "" {
		if value := text(r.Attributes(), name); value != "" {
			return in.WithRandomness(consistent.FromHash(xxhash.Sum64String(value))), false
		}
	}
	return in.WithRandomness(consistent.FromHash(b.l.random())), true
}

// measure counts a record for the budgets of its resource.
func (b *recordBatch) measure(kept, preview bool) {
	b.tally.measure(b.at.enforced, kept)
	b.tally.measure(b.at.preview, preview)
}

// certain counts a record whose level has no say.
func (b *recordBatch) certain() {
	b.tally.certain(b.at.enforced)
	b.tally.certain(b.at.preview)
}

// leveled is the threshold of the key at hand under a budget.
func (b *recordBatch) leveled(l *leveled, budget int) sampling.Threshold {
	if l.budget != budget {
		l.budget, l.threshold = budget, atLevel(b.rate.ours, b.tally.level(budget, b.rules))
	}
	return l.threshold
}

// find finds the key of a record.
func (b *recordBatch) find(r plog.LogRecord) {
	s := severityOf(r)
	id := recordID(b.at.id, s, b.templates.Record(r))
	if b.at.service == "" {
		b.tally.irregular[recordNoKey]++
	}
	if b.rate != nil && b.rate.id == id {
		return
	}
	i, known := b.byID[id]
	if !known {
		i = b.add(id, s)
	}
	b.rate = &b.rates[i]
}

// add remembers a key for the batch.
func (b *recordBatch) add(id uint64, s severity) int32 {
	service := b.at.service
	key := b.l.rates.Find(id)
	if key == nil {
		service = strings.Clone(service)
		key = b.l.rates.Add(id, service, recordLabel(service, s, b.templates.Text()))
	}
	i := int32(len(b.rates)) //nolint:gosec // no more than there are records
	ours := key.Threshold()
	b.rates = append(b.rates, recordRate{
		key: key, id: id, severity: s, service: service, ours: ours, floor: b.l.floors[s],
		enforced: leveled{-1, ours}, preview: leveled{-1, ours},
	})
	b.byID[id] = i
	return i
}
