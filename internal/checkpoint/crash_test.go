package checkpoint_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
)

// everyKind are two programs of each kind.
func everyKind() []c.Kind {
	var kinds []c.Kind
	for k := range c.Summary + 1 {
		kinds = append(kinds, k, k)
	}
	return kinds
}

// play is the script: feeds, flushes and checkpoints, new outputs and such that end in between.
func (d *drama) play() {
	if !d.begin() {
		d.revive()
	}
	act := func(survived bool) {
		if !survived || d.kv.dead { // an error while it cleans up is none of Commit
			d.revive()
		}
	}
	for round := range 7 {
		for i, s := range d.sources {
			switch {
			case i >= len(d.sources)/2 && round < 2: // half of them come later
				continue
			case round == 3 && i%5 == 4: // and some pause
				continue
			}
			d.now += second / 4
			d.feed(s, int64(1+(i+round)%5))
		}
		act(d.flush())
		if round == 1 || round == 4 {
			for _, s := range d.sources[:3] { // something is under way in the checkpoint
				d.now += second / 8
				d.feed(s, 2)
			}
			act(d.checkpoint())
		}
	}
}

// TestKilledAfterEveryOperation kills the process at each operation on the storage, once before and once after it took effect,
// and once more while it starts again. Nothing falls, nothing is counted twice, and inputs that go on are caught up exactly.
func TestKilledAfterEveryOperation(t *testing.T) {
	total := func() int {
		d := newDrama(t.Context(), t, newMemory(), everyKind())
		d.play()
		operations := d.kv.operations
		d.end(true)
		return operations
	}()
	require.Greater(t, total, 60)
	for n := range total {
		for _, torn := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d,torn=%t", n, torn), func(t *testing.T) {
				kv := newMemory()
				kv.left, kv.torn = n, torn
				d := newDrama(t.Context(), t, kv, everyKind())
				d.play()
				// Killed before the first checkpoint there is nothing that could be restored.
				d.end(n > 1 || n == 1 && torn || d.kills == 0)
			})
		}
	}
}

// TestKilledAgainAndAgain is the same at random, any number of times, also while the state is restored; programs end, and rules
// are replaced.
func TestKilledAgainAndAgain(t *testing.T) {
	killed := 0
	check(t, 600, 50_000, func(t *rapid.T) {
		var kinds []c.Kind
		for range rapid.IntRange(1, 12).Draw(t, "sources") {
			kinds = append(kinds, c.Kind(rapid.Uint8Range(0, uint8(c.Summary)).Draw(t, "kind")))
		}
		d := newDrama(t.Context(), t, newMemory(), kinds)
		require.True(t, d.begin())
		exact := true
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			step := rapid.IntRange(0, 13).Draw(t, "step")
			if step < 4 {
				d.kv.left, d.kv.torn = rapid.IntRange(0, 6).Draw(t, "left"), rapid.Bool().Draw(t, "torn")
			}
			survived := true
			switch {
			case step == 0 || step == 4:
				survived = d.checkpoint()
			case step == 1 || step == 5:
				survived = d.replace()
				exact = exact && survived
			case step < 7:
				survived = d.flush()
			case step == 7 && len(d.sources) > 1:
				d.finish(rapid.IntRange(0, len(d.sources)-1).Draw(t, "ends"))
			default:
				d.now += second
				d.feed(rapid.SampledFrom(d.sources).Draw(t, "source"), rapid.Int64Range(0, 9).Draw(t, "n"))
			}
			for !survived || d.kv.dead { // an error while it cleans up is none of Commit
				killed++
				d.kv.dead, d.kv.torn, d.kv.left = false, rapid.Bool().Draw(t, "torn again"), rapid.IntRange(0, 30).Draw(t, "left again")
				d.kills++
				survived = d.begin()
			}
			d.kv.left = -1
		}
		d.end(exact)
	})
	require.Greater(t, killed, 100)
}
