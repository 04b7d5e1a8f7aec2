package experiment

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// keys lists the keys of a specification as the README writes them.
func keys(prefix string, typ reflect.Type) []string {
	var list []string
	for f := range typ.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner, mark := f.Type, ""
		if inner.Kind() == reflect.Slice {
			inner, mark = inner.Elem(), "[]"
		}
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		leaf := inner == reflect.TypeFor[time.Time]() || inner == reflect.TypeFor[policy.Rule]() || inner == reflect.TypeFor[Document]() || inner == reflect.TypeFor[Query]()
		if inner.Kind() == reflect.Struct && !leaf {
			list = append(list, keys(prefix+key+mark+".", inner)...)
		} else {
			list = append(list, prefix+key)
		}
	}
	return list
}

func TestReadmeListsEveryKey(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var got []string
	_, table, _ := strings.Cut(string(readme), "| Key |")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(table, -1) {
		got = append(got, m[1])
	}
	want := keys("", reflect.TypeFor[Spec]())
	slices.Sort(want)
	slices.Sort(got)
	assert.Equal(t, want, got)
}

func TestReadmeStatesDefaults(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	s := splitSpec()
	s.Fidelity = &Fidelity{}
	d := s.WithDefaults()
	for key, value := range map[string]string{
		"interval": "30s", "max_duration": "24h", "max_pause": "24h", "steps[].dwell": "10m",
		"fidelity.min_judged": "0.9", "fidelity.tolerance": "0.01", "fidelity.mean_tolerance": "0.001", "fidelity.max_series": "100000", "fidelity.max_memory_mib": "256",
	} {
		assert.Contains(t, string(readme), "| `"+key+"` | `"+value+"` |")
	}
	assert.Equal(t, []any{30 * time.Second, 24 * time.Hour, 24 * time.Hour, 10 * time.Minute}, []any{d.Interval.Std(), d.MaxDuration.Std(), d.MaxPause.Std(), d.Steps[0].Dwell.Std()})
	assert.Equal(t, []any{0.9, 0.01, 0.001, 100_000, 256}, []any{*d.Fidelity.MinJudged, *d.Fidelity.Tolerance, *d.Fidelity.MeanTolerance, d.Fidelity.MaxSeries, d.Fidelity.MaxMemoryMiB})
	assert.Contains(t, string(readme), "a lease of 60s, which `Step` renews every 10s")
	assert.Equal(t, []time.Duration{60 * time.Second, 10 * time.Second}, []time.Duration{LeaseDuration, LeaseRenewal})
}

// TestReadmeSaysWhatYields compares the table of demands with the code.
func TestReadmeSaysWhatYields(t *testing.T) {
	for code, yields := range map[ReasonCode]bool{
		ReasonMinimumRun: false, ReasonGuardrailNoData: false, ReasonMinJudged: false, ReasonCriticalAlert: false, ReasonFidelity: false,
		ReasonSampleRatio: false, ReasonApproval: false, ReasonNoLook: false,
		ReasonSteps: true, ReasonCriterionUndecided: true, ReasonGuardrail: true, ReasonGuardrailUndecided: true,
	} {
		assert.Equal(t, yields, code.yields(), code)
	}
}
