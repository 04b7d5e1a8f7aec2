package adaptivesamplerprocessor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/phoenix-platform/phoenix/internal/sampling/consistent"
	"github.com/phoenix-platform/phoenix/processor/adaptivesamplerprocessor/internal/metadata"
)

// summaryEvent is the event name of summaries. An adaptive_sampler lets records
// with it pass, so that a second stage does not sample what the first one says.
const summaryEvent = "phoenix.sampling.left_out"

// The attributes of summaries.
const (
	summaryTemplate    = "log.record.template"
	summaryTemplates   = "phoenix.sampling.templates"
	summaryCame        = "phoenix.sampling.records"
	summaryLeftOut     = "phoenix.sampling.records_left_out"
	summaryProbability = "phoenix.sampling.probability"
	summaryFrom        = "phoenix.sampling.from"
	summaryTo          = "phoenix.sampling.to"
)

// maxSummaries bounds the records of one summary, but for one about the rest.
const maxSummaries = 1_000

// summary counts by key what came and what was left out.
type summary struct {
	maxKeys  int
	interval time.Duration

	mu sync.Mutex
	summed
}

// summed are the counts since from.
type summed struct {
	from, to time.Time
	keys     map[uint64]*summedKey
	rest     summedKey // of keys beyond maxKeys
	others   int       // such keys, in each batch anew
}

type summedKey struct {
	service, template string
	severity          severity
	came, leftOut     int
}

func newSummary(maxKeys int, interval time.Duration, now time.Time) *summary {
	return &summary{maxKeys: maxKeys, interval: interval, summed: newSummed(now)}
}

func newSummed(now time.Time) summed { return summed{from: now, keys: map[uint64]*summedKey{}} }

// add adds a batch.
func (s *summary) add(rates []recordRate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range rates {
		r := &rates[i]
		s.count(r.id, summedKey{r.service, r.template, r.severity, r.came, r.leftOut}, s.maxKeys)
	}
}

// count adds to a key. There is room for so many.
func (s *summed) count(id uint64, add summedKey, room int) {
	k := s.keys[id]
	if k == nil && len(s.keys) >= room {
		k = &s.rest
		if add.leftOut > 0 {
			s.others++
		}
	}
	if k == nil {
		add.service = strings.Clone(add.service)
		s.keys[id] = &add
		return
	}
	k.came += add.came
	k.leftOut += add.leftOut
	if k != &s.rest && k.template == "" {
		k.template = add.template
	}
}

// takeDue takes the counts if their interval is over, else none.
func (s *summary) takeDue(now time.Time) *summed {
	s.mu.Lock()
	due := now.Sub(s.from) >= s.interval || now.Before(s.from)
	s.mu.Unlock()
	if !due {
		return &summed{}
	}
	return s.take(now)
}

// take takes the counts, and begins anew.
func (s *summary) take(now time.Time) *summed {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.summed
	taken.to = now
	s.summed = newSummed(now)
	return &taken
}

// putBack adds counts that were taken and could not be sent.
func (s *summary) putBack(taken *summed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from = taken.from
	for id, k := range taken.keys {
		s.count(id, *k, s.maxKeys)
	}
	s.rest.came += taken.rest.came
	s.rest.leftOut += taken.rest.leftOut
	s.others += taken.others
}

// records are the summary: one for each key of which records were left out, those
// with the most first, and one for the rest.
func (s *summed) records() plog.Logs {
	ld := plog.NewLogs()
	list := make([]*summedKey, 0, len(s.keys))
	for _, k := range s.keys {
		if k.leftOut > 0 {
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b *summedKey) int {
		return cmp.Or(cmp.Compare(b.leftOut, a.leftOut), cmp.Compare(a.service, b.service), cmp.Compare(a.severity, b.severity), cmp.Compare(a.template, b.template))
	})
	rest, others := s.rest, s.others
	if len(list) > maxSummaries {
		for _, k := range list[maxSummaries:] {
			rest.came += k.came
			rest.leftOut += k.leftOut
		}
		others += len(list) - maxSummaries
		list = list[:maxSummaries]
	}
	services := map[string]plog.LogRecordSlice{}
	for _, k := range list {
		r := s.record(ld, services, k, fmt.Sprintf("%d records of template %q left out", k.leftOut, k.template))
		r.Attributes().PutStr(summaryTemplate, k.template)
		r.SetSeverityNumber(k.severity.number())
		if k.severity != severityUnspecified {
			r.SetSeverityText(strings.ToUpper(k.severity.String()))
		}
	}
	if rest.leftOut > 0 {
		r := s.record(ld, services, &rest, fmt.Sprintf("%d records of other templates left out", rest.leftOut))
		r.Attributes().PutInt(summaryTemplates, int64(others))
	}
	return ld
}

// record appends a record to those of a service.
func (s *summed) record(ld plog.Logs, services map[string]plog.LogRecordSlice, k *summedKey, body string) plog.LogRecord {
	list, known := services[k.service]
	if !known {
		rl := ld.ResourceLogs().AppendEmpty()
		if k.service != "" {
			rl.Resource().Attributes().PutStr(serviceName, k.service)
		}
		sl := rl.ScopeLogs().AppendEmpty()
		sl.Scope().SetName(metadata.ScopeName)
		list = sl.LogRecords()
		services[k.service] = list
	}
	r := list.AppendEmpty()
	r.SetTimestamp(pcommon.NewTimestampFromTime(s.to))
	r.SetObservedTimestamp(r.Timestamp())
	r.SetEventName(summaryEvent)
	r.Body().SetStr(body)
	a := r.Attributes()
	a.PutInt(summaryCame, int64(k.came))
	a.PutInt(summaryLeftOut, int64(k.leftOut))
	a.PutDouble(summaryProbability, 1-float64(k.leftOut)/float64(k.came))
	a.PutStr(summaryFrom, s.from.UTC().Format(time.RFC3339Nano))
	a.PutStr(summaryTo, s.to.UTC().Format(time.RFC3339Nano))
	a.PutStr(consistent.ThresholdAttribute, "0")
	return r
}
