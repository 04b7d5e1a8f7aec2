package adaptivesamplerprocessor

import (
	"github.com/cespare/xxhash/v2"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

// severity is a range of OTLP severities: 0 if a record has none, else one more
// than its place in severityNames.
type severity uint8

const (
	severityUnspecified severity = iota
	severityTrace
	severityDebug
	severityInfo
	severityWarn
	severityError
	severityFatal
	severities
)

func (s severity) String() string {
	if s == severityUnspecified {
		return "unspecified"
	}
	return severityNames[s-1]
}

// number is the lowest of the range.
func (s severity) number() plog.SeverityNumber {
	if s == severityUnspecified {
		return plog.SeverityNumberUnspecified
	}
	return plog.SeverityNumber(4*(int32(s)-1) + 1)
}

// severityOf is that of the number, or of the text if there is no number.
func severityOf(r plog.LogRecord) severity {
	if n := r.SeverityNumber(); n > plog.SeverityNumberUnspecified && n <= plog.SeverityNumberFatal4 {
		return severity((n + 3) / 4)
	}
	return severityNamed(r.SeverityText())
}

// severityNamed knows the usual names, in any case. Those of syslog are where the
// data model of OpenTelemetry has them.
func severityNamed(text string) severity {
	var lower [len("information")]byte
	if len(text) > len(lower) {
		return severityUnspecified
	}
	for i := range len(text) {
		lower[i] = text[i]
		if text[i] >= 'A' && text[i] <= 'Z' {
			lower[i] += 'a' - 'A'
		}
	}
	switch string(lower[:len(text)]) {
	case "trace":
		return severityTrace
	case "debug":
		return severityDebug
	case "info", "information", "notice":
		return severityInfo
	case "warn", "warning":
		return severityWarn
	case "error", "err", "critical", "crit", "alert":
		return severityError
	case "fatal", "panic", "emergency", "emerg":
		return severityFatal
	default:
		return severityUnspecified
	}
}

// floors are the thresholds that no record of a severity is sampled above. One
// that excludes nothing is NeverSampleThreshold.
type floors [severities]sampling.Threshold

// newFloors gives each severity the floor of the next lower one that has one.
func newFloors(floor map[string]float64) (f floors) {
	lowest := sampling.NeverSampleThreshold
	f[severityUnspecified] = lowest
	for s := severityTrace; s < severities; s++ {
		if p, given := floor[s.String()]; given {
			lowest = sampling.NeverSampleThreshold
			if p > 0 {
				lowest = consistent.FromProbability(p)
			}
		}
		f[s] = lowest
	}
	return f
}

// recordID is the identity of a key. It is the same after a restart.
func recordID(service uint64, s severity, template uint64) uint64 {
	h := (service ^ uint64(s)*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
	h ^= h >> 32
	h = (h ^ template) * 0xc4ceb9fe1a85ec53
	return h ^ h>>29
}

func serviceID(service string) uint64 { return xxhash.Sum64String(service) }

// recordLabel is what a key is called, for people.
func recordLabel(service string, s severity, template string) string {
	return bounded(service + " " + s.String() + ": " + template)
}

// lower is the threshold that keeps more.
func lower(a, b sampling.Threshold) sampling.Threshold {
	if sampling.ThresholdLessThan(b, a) {
		return b
	}
	return a
}
