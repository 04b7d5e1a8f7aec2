package tagconsolidationprocessor

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor/internal/metadata"
)

// designRows are the rows of the table that says what comes out, and what is
// said beside it, with the scripts that hold each.
var designRows = []struct{ row, scripts string }{
	{"delta sum", "delta_sums delta_windows delta_updown delta_double delta_input_gone"},
	{"cumulative monotonic sum", "counter_sums counter_never_falls counter_batches counter_int counter_past_int64 v04_one_nanosecond v10_rate"},
	{"first point: activation", "first_point_begun_here first_point_old_start v07_churn"},
	{"first point: start unknown", "first_point_unknown_start first_point_start_is_time"},
	{"first point: perhaps evicted", "first_point_evicted first_point_evicted_new_start"},
	{"reset: the value fell", "reset_by_value v05_reset_of_one"},
	{"reset: start after the last point", "reset_by_start"},
	{"start moved: start_shift", "start_shift"},
	{"cumulative non-monotonic sum", "updown updown_stale level_double"},
	{"gauge by policy", "gauge_sum gauge_mean gauge_min gauge_max gauge_last gauge_count gauge_watermark gauge_nan"},
	{"gauge without policy", "gauge_without_policy gauge_first_match"},
	{"classic histogram, same bounds", "histogram_same_bounds histogram_delta histogram_without_bounds histogram_without_sum histogram_never_sum"},
	{"classic histogram, other bounds", "histogram_common_bounds histogram_no_common_bounds histogram_bounds_change"},
	{"buckets: keep_bounds", "histogram_keep_bounds histogram_keep_bounds_alone histogram_keep_bounds_foreign"},
	{"exponential histogram", "exponential_zero exponential_cumulative exponential_delta exponential_many_buckets v01_exponential_offsets v02_exponential_gap v03_exponential_scales"},
	{"min, max of histograms", "histogram_min_max histogram_delta exponential_delta"},
	{"summary", "summary_passes summary_merged summary_nan"},
	{"stale marker", "stale_marker stale_marker_last_value stale_marker_unknown input_returns staleness"},
	{"exemplars", "exemplars exemplars_bounded"},
	{"late or reordered point", "delta_late delta_duplicate counter_late time_goes_back clock_skew"},
	{"more inputs than max_streams", "max_streams max_streams_room_again"},
	{"output that returns", "output_returns"},
	{"no input in an interval", "heartbeat samples_out delta_windows"},
	{"collector restarts", "restart restart_without_storage restart_long_downtime v06_restart"},
	{"killed", "crash_after_checkpoint crash_input_ended crash_delta crash_before_sending crash_levels crash_histogram crash_first_start v12_kill"},
	{"final flush", "final_flush"},
	{"rule changes", "rule_change rule_added_first rule_mode_change rule_rollback rule_rollback_shared restart_rule_changed restart_hot_rules restart_control_dead crash_hot_rules"},
	{"promotion", "promotion_split promotion_mirror promotion_under_way promotion_under_way_mirrored promotion_rolled_back"},
	{"writer", "writer writer_of_another writer_attribute"},
	{"never_touch", "never_touch limit_never_touch"},
	{"scope", "scope_keep scope_drop scope_attribute"},
	{"drop", "drop"},
	{"keep", "keep keep_none"},
	{"map", "map_regex map_other map_ranges map_paths map_then_top_k"},
	{"hash_buckets", "hash_buckets"},
	{"top_k", "top_k top_k_cumulative map_then_top_k restart_decisions"},
	{"limit", "limit limit_order limit_unfolds limit_never_touch v08_steady_growth"},
	{"conditions, first match", "first_match conditions conditions_next_rule match_types unmatched experiment_scope rule_without_effect"},
	{"preview", "preview preview_beside v09_correlated_labels"},
	{"identity", "identity typed_values unit_stays mixed_temporality empty_names"},
	{"malformed points", "bad_times bad_values bad_histograms bad_exponentials bad_summaries"},
	{"unspecified temporality", "unspecified_temporality"},
	{"the next component refuses", "emit_refused"},
}

// TestDesignRows checks that every row has its scripts, and every script a row.
func TestDesignRows(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txtar")
	require.NoError(t, err)
	var there, named []string
	for _, file := range files {
		there = append(there, strings.TrimSuffix(filepath.Base(file), ".txtar"))
	}
	for _, r := range designRows {
		require.NotEmpty(t, r.scripts, r.row)
		named = append(named, strings.Fields(r.scripts)...)
	}
	slices.Sort(named)
	assert.Equal(t, there, slices.Compact(named))
}

// TestScriptLinesAreExact: what a script expects says all that it reads as.
func TestScriptLinesAreExact(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txtar")
	require.NoError(t, err)
	checked := 0
	for _, file := range files {
		for _, line := range loadScript(t, file).shown("edge", "edges", "passed", "shutdown") {
			md, err := readPoints([]string{line})
			require.NoError(t, err, file)
			assert.Equal(t, []string{line}, texts(writePoints(md)), file)
			checked++
		}
	}
	assert.Greater(t, checked, 200)
	for _, wrong := range []string{
		"", "counter", "count x 1s 1", "counter x {a} 1s..2s 1", "counter x 1s..2 1", "counter x 1s..2s one", "counter x 1s..2s", "empty x 1s 1",
		"histogram x 1s..2s [a]@[]", "histogram x 1s..2s [1]@[b]", "histogram x 1s..2s [1]@[] summ=1", "exponential x 1s..2s scale=a", "exponential x 1s..2s pos=a[1]",
		"summary x 1s..2s min=1", "counter x {a=int:b} 1s..2s 1", "counter x 1s..2s 1 exemplar=1/xyz", "summary x 1s..2s count=1 exemplar=1",
	} {
		_, err := readPoints([]string{wrong})
		require.Error(t, err, wrong)
	}
}

// TestTitlesAreUnique, because the README names scripts by their titles.
func TestTitlesAreUnique(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txtar")
	require.NoError(t, err)
	known := map[string]string{}
	for _, file := range files {
		title := loadScript(t, file).title()
		assert.NotEmpty(t, title, file)
		assert.Empty(t, known[title], file)
		known[title] = file
	}
}

const keptConfig = `
interval: 10s
storage: file_storage
rules: [{name: r, match: {metric: "*"}, attributes: {drop: [pod]}}]
`

// writerOf sends a point and returns the writer attribute of what comes out.
func (s *stage) writerOf() string {
	s.t.Helper()
	s.feed([]string{"counter requests {pod=a} -.." + writeDuration(s.now.Sub(epoch)+1) + " 1"})
	out := s.edge()
	require.Len(s.t, out, 1)
	found := regexp.MustCompile(`\{phoenix\.writer=(\S+)\}`).FindStringSubmatch(out[0].text)
	require.NotNil(s.t, found, out[0].text)
	return found[1]
}

// TestWriterIsKeptWithTheState: random, 16 hexadecimal digits, and the same
// after a restart and after a kill.
func TestWriterIsKeptWithTheState(t *testing.T) {
	s := newStage(t, keptConfig)
	first := s.writerOf()
	assert.Regexp(t, "^[0-9a-f]{16}$", first)
	s.end()
	require.NoError(t, s.begin())
	assert.Equal(t, first, s.writerOf())
	s.die()
	require.NoError(t, s.begin())
	assert.Equal(t, first, s.writerOf())
	s.die()

	other := newStage(t, keptConfig)
	assert.NotEqual(t, first, other.writerOf())
	other.die()
}

func TestWriterWithoutStorageIsTheHost(t *testing.T) {
	name, err := os.Hostname()
	require.NoError(t, err)
	if name == "" || name == "localhost" {
		name = "unknown"
	}
	s := newStage(t, strings.Replace(keptConfig, "storage: file_storage", "", 1))
	assert.Equal(t, name, s.writerOf())
	s.die()
}

// TestDamagedState: what was found is reported and not used, and all begins
// anew with a new start time.
func TestDamagedState(t *testing.T) {
	s := newStage(t, keptConfig+"writer: none\n")
	s.feed([]string{"counter requests {pod=a} -..5s 100"})
	require.Equal(t, []string{"counter requests 0s..10s 0"}, texts(s.edge()))
	s.end()
	host := s.host.(scriptHost) //nolint:forcetypeassert // of newStage
	for id, extension := range host {
		if kept, ok := extension.(storage.Extension); ok {
			host[id] = damagedStorage{kept}
		}
	}
	require.NoError(t, s.begin())
	require.Equal(t, []string{"state_errors 1"}, s.counters([]string{"state_errors"}))
	require.Contains(t, strings.Join(s.logged(), "\n"), "error Could not use the state that was found. It is set aside and all outputs begin anew error=")
	s.feed([]string{"counter requests {pod=a} -..15s 110"})
	require.Equal(t, []string{"counter requests 10s..20s 0"}, texts(s.edge()))
	s.die()
}

// damagedStorage returns what was never written.
type damagedStorage struct{ storage.Extension }

func (d damagedStorage) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	client, err := d.Extension.GetClient(ctx, kind, id, name)
	return damagedClient{client}, err
}

type damagedClient struct{ storage.Client }

func (c damagedClient) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := c.Client.Get(ctx, key)
	for i := range value {
		value[i] ^= 0x55
	}
	return value, err
}

// TestBatchesAreBounded: what an edge emits is handed on in pieces.
func TestBatchesAreBounded(t *testing.T) {
	s := newStage(t, keptConfig+"writer: none\nmax_batch_points: 4\n")
	s.feed([]string{"counter requests {pod=a code={1..10}} 1s..5s 1"})
	var sizes []int
	for _, md := range s.turn() {
		sizes = append(sizes, md.DataPointCount())
	}
	assert.Equal(t, []int{4, 4, 2}, sizes)
	s.die()
}

func TestMissingExtensions(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		s := newStageOn(t, newScriptHost(t), yaml)
		require.EqualError(t, s.begin(), want)
	}
	f("storage: ghost", "storage: there is no extension ghost; add it to service.extensions")
	f("control: ghost", "control: there is no extension ghost; add it to service.extensions")
	f("control: file_storage", "control: the extension file_storage has no policies")
	s := newStageOn(t, scriptHost{component.MustNewID("nop"): nil}, "storage: nop")
	require.EqualError(t, s.begin(), "storage: the extension nop is no storage extension; file_storage is one")
}

// TestOneIDInTwoPipelines: both would write the same outputs.
func TestOneIDInTwoPipelines(t *testing.T) {
	factory := NewFactory()
	set := processortest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type)
	first, err := factory.CreateMetrics(t.Context(), set, createDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	second, err := factory.CreateMetrics(t.Context(), set, createDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, first.Start(t.Context(), componenttest.NewNopHost()))
	require.EqualError(t, second.Start(t.Context(), componenttest.NewNopHost()),
		"tag_consolidation is used in two pipelines, which would write the same outputs twice: give each pipeline its own, such as tag_consolidation/a and tag_consolidation/b")
	require.NoError(t, second.Shutdown(t.Context()))
	require.NoError(t, first.Shutdown(t.Context()))
	require.NoError(t, second.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, second.Shutdown(t.Context()))
}
