package relabel

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// output is the labels of one output, by key; all are of points.
type output map[string]string

// harness feeds a Folder and keeps what it was fed.
type harness struct {
	h       *series.Hasher
	folder  *Folder
	inputs  []output
	tickets []Ticket
}

func newHarness(t require.TestingT, s FolderSettings) *harness {
	f, err := NewFolder(s)
	require.NoError(t, err)
	return &harness{h: testHasher(t), folder: f}
}

func (h *harness) join(outputs ...output) {
	for _, o := range outputs {
		var labels []Label
		for key, value := range o {
			labels = append(labels, Label{series.Point, key, h.h.String(series.Point, key, value)})
		}
		h.inputs = append(h.inputs, o)
		h.tickets = append(h.tickets, h.folder.Join(7, labels))
	}
}

func (h *harness) leave(i int) {
	h.folder.Leave(h.tickets[i])
	h.inputs, h.tickets = slices.Delete(h.inputs, i, i+1), slices.Delete(h.tickets, i, i+1)
}

// outputs counts with a set of strings.
func (h *harness) outputs(folds []Ref) int {
	set := map[string]bool{}
	for _, in := range h.inputs {
		var parts []string
		for key, value := range in {
			if !slices.ContainsFunc(folds, func(r Ref) bool { return r.names(series.Point, key) }) {
				parts = append(parts, fmt.Sprintf("%q=%q", key, value))
			}
		}
		slices.Sort(parts)
		set[strings.Join(parts, ",")] = true
	}
	return len(set)
}

func (h *harness) advance() bool { return h.folder.Advance(h.outputs(h.folder.Folds())) }

func keysOf(refs []Ref) []string {
	keys := []string{}
	for _, r := range refs {
		keys = append(keys, r.Key)
	}
	slices.Sort(keys)
	return keys
}

func TestFolderFoldsWhatSavesMost(t *testing.T) {
	h := newHarness(t, FolderSettings{MaxSeries: 100})
	for route := range 10 {
		for code := range 5 {
			h.join(output{"route": strconv.Itoa(route), "code": strconv.Itoa(code), "zone": "z"})
		}
	}
	assert.False(t, h.advance())
	for i := range 50 {
		for user := range 20 {
			h.join(output{"route": strconv.Itoa(i % 10), "code": strconv.Itoa(i / 10), "zone": "z", "user": strconv.Itoa(user)})
		}
	}
	assert.True(t, h.folder.Fold(0), "between edges, too")
	assert.Equal(t, []string{"user"}, keysOf(h.folder.Folds()))
	assert.False(t, h.folder.Exhausted())
	assert.False(t, h.advance())
}

// Pod, its uid and the instance name one thing: no one of them saves anything.
func TestFolderFindsGroups(t *testing.T) {
	h := newHarness(t, FolderSettings{MaxSeries: 200})
	for pod := range 200 {
		for route := range 6 {
			h.join(output{"pod": strconv.Itoa(pod), "uid": fmt.Sprint("u", pod), "instance": fmt.Sprint(pod, ":80"), "route": strconv.Itoa(route % 3), "code": strconv.Itoa(route / 3)})
		}
	}
	assert.True(t, h.advance())
	assert.Equal(t, []string{"instance", "pod", "uid"}, keysOf(h.folder.Folds()))
}

// What a and b say together, c and d say together, too: no pair is a group.
func TestFolderFoldsThoughNothingSaves(t *testing.T) {
	h := newHarness(t, FolderSettings{MaxSeries: 10})
	for a := range 20 {
		for b := range 20 {
			h.join(output{"a": strconv.Itoa(a), "b": strconv.Itoa(b), "c": strconv.Itoa((a*20 + b) / 7), "d": strconv.Itoa((a*20 + b) % 7)})
		}
	}
	assert.True(t, h.advance())
	assert.LessOrEqual(t, h.outputs(h.folder.Folds()), 10)
	assert.False(t, h.folder.Exhausted())
}

func TestFolderNeverFoldsIdentityNorWhatIsProtected(t *testing.T) {
	f, err := NewFolder(FolderSettings{MaxSeries: 1, Protect: []Ref{{OnPoint, "tenant"}}})
	require.NoError(t, err)
	for i := range 9 {
		part := uint64(i+1) * 0x9e3779b97f4a7c15
		f.Join(0, []Label{{series.Resource, "service.name", part}, {series.Point, "tenant", part * 3}, {series.Point, "pod", part * 5}})
	}
	assert.True(t, f.Advance(9))
	assert.Equal(t, []Ref{{OnPoint, "pod"}}, f.Folds())
	assert.True(t, f.Exhausted())
	assert.Equal(t, 9, f.Known())
}

func TestFolderFoldsInOrderAndBack(t *testing.T) {
	h := newHarness(t, FolderSettings{MaxSeries: 10, Order: bare("constant", "absent", "code", "user"), Patience: 2})
	for i := range 40 {
		h.join(output{"constant": "c", "code": strconv.Itoa(i % 4), "user": strconv.Itoa(i / 4), "route": strconv.Itoa(i % 8)})
	}
	assert.True(t, h.advance())
	assert.Equal(t, bare("code", "user"), h.folder.Folds())
	// 8 would be too many for a release, 6 are not
	for len(h.inputs) > 8 {
		h.leave(len(h.inputs) - 1)
	}
	for range 5 {
		assert.False(t, h.advance())
	}
	h.leave(7)
	h.leave(6)
	assert.False(t, h.advance())
	assert.True(t, h.advance())
	assert.Equal(t, bare("code"), h.folder.Folds())
	assert.False(t, h.advance())
	assert.True(t, h.advance())
	assert.Empty(t, h.folder.Folds())
}

func TestFolderAlternationDoesNotFlap(t *testing.T) {
	h := newHarness(t, FolderSettings{MaxSeries: 100})
	changes := 0
	for edge := range 200 {
		if edge%2 == 0 {
			for i := range 150 {
				h.join(output{"pod": strconv.Itoa(i), "code": strconv.Itoa(i % 3)})
			}
		} else {
			for len(h.inputs) > 0 {
				h.leave(len(h.inputs) - 1)
			}
		}
		if h.advance() {
			changes++
		}
	}
	assert.Equal(t, 1, changes)
}

func TestFolderPastItsBound(t *testing.T) {
	h := newHarness(t, FolderSettings{MaxSeries: 100})
	for i := range 5_000 {
		h.join(output{"pod": strconv.Itoa(i / 5), "code": strconv.Itoa(i % 5), "shard": strconv.Itoa(i % 40)})
	}
	assert.Equal(t, minRows, h.folder.Known())
	assert.Equal(t, 5_000-minRows, h.folder.Unknown())
	assert.True(t, h.advance())
	assert.LessOrEqual(t, h.outputs(h.folder.Folds()), 100)
	// Of what is not known, the number that is told decides
	before := len(h.folder.Folds())
	assert.True(t, h.folder.Advance(101))
	assert.Greater(t, len(h.folder.Folds()), before)
	// Each input that is not known may be an output of its own
	for len(h.inputs) > minRows+80 {
		h.leave(len(h.inputs) - 1)
	}
	for len(h.inputs) > 80 {
		h.leave(0)
	}
	for range 2 * DefaultFoldPatience {
		assert.False(t, h.advance())
	}
	for len(h.inputs) > 0 {
		h.leave(0)
	}
	assert.Zero(t, h.folder.Known()+h.folder.Unknown())
	for range 10 * DefaultFoldPatience {
		h.advance()
	}
	assert.Empty(t, h.folder.Folds())
	h.folder.JoinUnknown()
	assert.Equal(t, 1, h.folder.Unknown())
}

func TestFolderRefuses(t *testing.T) {
	_, err := NewFolder(FolderSettings{Release: 1, Patience: -1, Order: bare("a*", ""), Protect: bare("")})
	require.EqualError(t, err, strings.Join([]string{
		"max_series: must be positive, got 0", "release: must lie between 0 and 1, got 1", "patience: must be positive, got -1",
		`fold[0]: "a*": must name one attribute, not a glob`, "fold[1]: must name an attribute", "protect: [0]: must name an attribute",
	}, "\n"))
}

func TestFolderRestores(t *testing.T) {
	f := func(order []Ref, want ...[]Ref) {
		t.Helper()
		folder, err := NewFolder(FolderSettings{MaxSeries: 5, Order: order})
		require.NoError(t, err)
		folder.Restore([][]Ref{bare("a"), bare("b", "c"), {}, bare("*"), bare("")})
		if len(want) == 0 {
			want = [][]Ref{}
		}
		assert.Equal(t, want, folder.State())
	}
	f(nil, bare("a"), bare("b", "c"))
	f(bare("a", "x"), bare("a"))
	f(bare("x"))
}

// Against sets of strings: the counts are exact, the limit holds whenever it
// can, nothing folds without need, and nothing unfolds that must not.
func TestFolderAgreesWithASlowModel(t *testing.T) {
	keys := []string{"a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		s := FolderSettings{MaxSeries: rapid.IntRange(1, 12).Draw(t, "max"), Patience: rapid.IntRange(1, 3).Draw(t, "patience")}
		if rapid.Bool().Draw(t, "ordered") {
			s.Order = bare(rapid.Permutation(keys).Draw(t, "order")...)
		}
		h := newHarness(t, s)
		calm := 0 // edges in a row without need of the last fold
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				o := output{}
				for _, key := range keys {
					if v := rapid.IntRange(0, 4).Draw(t, key); v > 0 {
						o[key] = strconv.Itoa(v)
					}
				}
				h.join(o)
			},
			"leave": func(t *rapid.T) {
				if len(h.inputs) > 0 {
					h.leave(rapid.IntRange(0, len(h.inputs)-1).Draw(t, "input"))
				}
			},
			"advance": func(t *rapid.T) {
				before := h.folder.Folds()
				needed := h.outputs(before) > s.MaxSeries
				changed := h.advance()
				after := h.folder.Folds()
				require.Equal(t, changed, !slices.Equal(before, after))
				if left := h.outputs(after); left > s.MaxSeries {
					require.True(t, h.folder.Exhausted())
					require.Equal(t, 1, left, "all fold")
				}
				switch {
				case needed:
					require.Subset(t, after, before)
				case len(after) > len(before):
					t.Fatal("folds without need")
				case changed:
					require.Less(t, float64(h.outputs(after)), 0.7*float64(s.MaxSeries))
					require.GreaterOrEqual(t, calm+1, s.Patience)
				}
				calm++
				if changed || needed {
					calm = 0
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, h.outputs(nil), h.folder.Known())
				require.Equal(t, h.outputs(h.folder.Folds()), h.folder.count(h.folder.steps))
			},
		})
	})
}

// Of 2,000 tables whose attributes hang together, about 30 need to take back a
// fold that later ones made needless.
func TestFolderFoldsNothingInVain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2_000 {
		h := newHarness(t, FolderSettings{MaxSeries: 1 + r.IntN(30)})
		widths := []int{2 + r.IntN(12), 2 + r.IntN(12), 2 + r.IntN(12), 2 + r.IntN(12), 2 + r.IntN(12)}
		for range 5 + r.IntN(60) {
			o, sum := output{}, 0
			for i, width := range widths {
				v := r.IntN(width)
				if r.IntN(3) == 0 {
					v = sum % width
				}
				sum += v
				o[string(rune('a'+i))] = strconv.Itoa(v)
			}
			h.join(o)
		}
		h.advance()
		for i := range h.folder.steps {
			rest := slices.Concat(h.folder.steps[:i], h.folder.steps[i+1:])
			require.Greater(t, h.folder.count(rest), h.folder.settings.MaxSeries)
		}
	}
}

// The choice of one attribute is the best by counting with strings.
func TestFolderChoosesTheBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHarness(t, FolderSettings{MaxSeries: 1})
		keys := []string{"a", "b", "c"}
		for range rapid.IntRange(2, 40).Draw(t, "outputs") {
			o := output{}
			for i, key := range keys {
				o[key] = strconv.Itoa(rapid.IntRange(0, 2+3*i).Draw(t, key))
			}
			h.join(o)
		}
		n := h.outputs(nil)
		if n == 1 {
			return
		}
		next := h.folder.next()
		best := slices.MinFunc(keys, func(a, b string) int {
			return cmp.Compare(h.outputs([]Ref{{OnPoint, a}}), h.outputs([]Ref{{OnPoint, b}}))
		})
		require.LessOrEqual(t, h.outputs(next), h.outputs([]Ref{{OnPoint, best}}))
	})
}

func TestColumnsAreBounded(t *testing.T) {
	h := newHarness(t, FolderSettings{MaxSeries: 5})
	for i := range 3 * maxColumns {
		h.join(output{fmt.Sprint("k", i): "v"})
	}
	assert.Len(t, h.folder.columns.keys, maxColumns)
	assert.Equal(t, 3*maxColumns, h.folder.Known())
	h.advance()
	assert.True(t, h.folder.Exhausted())
}

func BenchmarkFolderFold(b *testing.B) {
	hasher := testHasher(b)
	r := rand.New(rand.NewPCG(1, 2))
	f, err := NewFolder(FolderSettings{MaxSeries: 10_000})
	require.NoError(b, err)
	for i := range 20_000 {
		var labels []Label
		for key := range 12 {
			value := strconv.Itoa(r.IntN(2 + key*3))
			if key >= 10 {
				value = strconv.Itoa(i / 10)
			}
			labels = append(labels, Label{series.Point, fmt.Sprint("key-", key), hasher.String(series.Point, fmt.Sprint("key-", key), value)})
		}
		f.Join(0, labels)
	}
	b.ReportAllocs()
	for b.Loop() {
		f.steps = nil
		f.Fold(20_000)
	}
	b.ReportMetric(float64(len(f.Folds())), "folds")
}

func BenchmarkFolderJoinAndLeave(b *testing.B) {
	f, err := NewFolder(FolderSettings{MaxSeries: 10_000})
	require.NoError(b, err)
	labels := make([]Label, 12)
	for i := range labels {
		labels[i] = Label{series.Point, fmt.Sprint("key-", i), uint64(i) * 0x9e3779b97f4a7c15}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f.Leave(f.Join(uint64(i), labels))
	}
}
