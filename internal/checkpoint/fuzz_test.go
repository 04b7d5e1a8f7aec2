package checkpoint_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/checkpoint"
	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

func payload(record []byte) []byte {
	return record[checkpoint.HeaderSize : len(record)-checkpoint.SumSize]
}

// survive loads what is there, restores it, goes on, and writes and reads it again.
func survive(t *testing.T, kv *memory) {
	t.Helper()
	store := checkpoint.Open(kv)
	st, err := store.Load(t.Context())
	if err != nil {
		require.True(t, unusable(err), "%v", err)
		require.NotContains(t, kv.keys(), "head")
		return
	}
	now := zero + 10*interval
	e := c.New(settings)
	_, err = st.Restore(e, &stream.Table{}, now)
	require.NoError(t, err)
	p := &process{engine: e, table: &stream.Table{}, store: store}
	for i := range uint64(3) {
		require.NoError(t, p.flush(t.Context(), now+i*interval, func(shown) {}))
	}
	_, err = write(t.Context(), store, e, now)
	require.NoError(t, err)
	st, err = checkpoint.Open(kv).Load(t.Context())
	require.NoError(t, err)
	again, direct := c.New(settings), c.New(settings)
	_, err = st.Restore(again, &stream.Table{}, now)
	require.NoError(t, err)
	for part := range e.Snapshot() {
		direct.Restore(part, now)
	}
	require.Equal(t, snapshotOf(direct), snapshotOf(again))
}

// FuzzPart: whatever a part holds, it is refused, or the engine goes on with it and its state can be written again.
func FuzzPart(f *testing.F) {
	small := smallState(f)
	f.Add(payload(small.data["part/1/0"]))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		kv := newMemory()
		kv.data["part/0/0"] = checkpoint.ForgePart(data, 5, 0)
		kv.data["head"] = checkpoint.HeadOf(5, identity, kv.data["part/0/0"])
		survive(t, kv)
	})
}

// FuzzJournal: the same of a record of the journal behind a real checkpoint.
func FuzzJournal(f *testing.F) {
	small := smallState(f)
	for _, key := range []string{"journal/1/0", "journal/1/1", "journal/1/3"} {
		f.Add(payload(small.data[key])[8:])
	}
	part := checkpoint.ForgePart(payload(small.data["part/1/0"]), 5, 0)
	f.Fuzz(func(t *testing.T, data []byte) {
		kv := newMemory()
		kv.data["part/0/0"] = part
		kv.data["head"] = checkpoint.HeadOf(5, identity, part)
		head := kv.data["head"]
		after := head[len(head)-checkpoint.SumSize:]
		kv.data["journal/0/0"] = checkpoint.ForgeJournal(append(append([]byte{}, after...), data...), 5, 0)
		survive(t, kv)
	})
}

// FuzzHead: the same of a head, and of bytes that are no record at all.
func FuzzHead(f *testing.F) {
	small := smallState(f)
	f.Add(payload(small.data["head"]), true)
	f.Add(small.data["head"], false)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		kv := newMemory()
		kv.data["head"] = data
		if sealed {
			kv.data["head"] = checkpoint.ForgeHead(data, 5)
		}
		survive(t, kv)
	})
}
