package tagconsolidationprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An input of Prometheus text, which has no start times, that came after the
// checkpoint goes on from its first point after a kill.
func TestKilledProcessorKeepsBaseLines(t *testing.T) {
	r := storedRig(t)
	unknown := time.Unix(0, 0)
	r.sendCounts(unknown, map[string]int64{"a": 1000})
	r.turn()
	r.c.writeCheckpoint(t.Context())
	r.sendCounts(unknown, map[string]int64{"a": 1003, "b": 500})
	require.EqualValues(t, 3, value(t, r.turn()).IntValue())
	r.sendCounts(unknown, map[string]int64{"a": 1004, "b": 520})
	r.crash()
	r = r.restart()
	r.sendCounts(unknown, map[string]int64{"a": 1005, "b": 530})
	require.EqualValues(t, 5+30, value(t, r.turn()).IntValue())
}
