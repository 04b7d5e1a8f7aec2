package checkpoint_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/checkpoint"
	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// smallState is a storage with a checkpoint of every kind of stream and a journal of four records, of which the last flush was
// interrupted.
func smallState(tb testing.TB) *memory {
	tb.Helper()
	kv := newMemory()
	p, _, _, err := start(tb.Context(), kv, 1, zero, nil)
	require.NoError(tb, err)
	now, edge := zero+2*second, zero
	var sources []*source
	for i, kind := range everyKind() {
		s := program(i, kind)
		if i%4 == 2 {
			s.start = 0 // the first point is the base line
		}
		sources = append(sources, s)
	}
	feed := func(sources []*source) {
		for _, s := range sources {
			now += second / 8
			s.feedTo(p.engine, p.table, s.next(now, int64(len(s.name))))
		}
	}
	flush := func() {
		edge += interval
		require.NoError(tb, p.flush(tb.Context(), edge, func(shown) {}))
		now = max(now, edge)
	}
	feed(sources[4:])
	flush()
	_, err = write(tb.Context(), p.store, p.engine, now)
	require.NoError(tb, err)
	feed(sources[:6])
	flush()
	feed(sources[2:4])
	kv.left = 1
	require.ErrorIs(tb, p.flush(tb.Context(), edge+interval, func(shown) {}), errDead)
	kv.left, kv.dead = -1, false
	require.Equal(tb, []string{"head", "journal/1/0", "journal/1/1", "journal/1/2", "journal/1/3", "part/1/0"}, kv.keys())
	return kv
}

func clone(m *memory) *memory {
	return &memory{data: maps.Clone(m.data), left: -1}
}

func unusable(err error) bool {
	return errors.Is(err, checkpoint.ErrDamaged) || errors.Is(err, checkpoint.ErrForeign) || errors.Is(err, checkpoint.ErrNewerVersion)
}

// noticed loads what is not as it was: that must be said, and what is usable must be so.
func noticed(t *testing.T, kv *memory, what string) {
	t.Helper()
	st, err := checkpoint.Open(kv).Load(t.Context())
	if err != nil {
		require.Nil(t, st)
		require.True(t, unusable(err), "%s: %v", what, err)
		require.NotContains(t, kv.data, "head")
		require.Contains(t, kv.data, "aside/head")
		return
	}
	require.NotNil(t, st, what)
	require.True(t, unusable(st.Damage), "%s: it went unnoticed: %v", what, st.Damage)
	require.NotContains(t, kv.data, "aside/head")
	_, err = st.Restore(c.New(patient), &stream.Table{}, zero+10*interval)
	require.NoError(t, err, what)
}

// TestEveryFlippedBitIsNoticed also cuts every record everywhere.
func TestEveryFlippedBitIsNoticed(t *testing.T) {
	small := smallState(t)
	step := 1
	if raceDetector {
		step = 101
	}
	total := 0
	for _, key := range small.keys() {
		record := small.data[key]
		for bit := 0; bit < 8*len(record); bit += step {
			kv, flipped := clone(small), slices.Clone(record)
			flipped[bit/8] ^= 1 << (bit % 8)
			kv.data[key] = flipped
			noticed(t, kv, fmt.Sprintf("bit %d of %s", bit, key))
			total++
		}
		for n := 0; n < len(record); n += step {
			kv := clone(small)
			kv.data[key] = record[:n]
			noticed(t, kv, fmt.Sprintf("%s cut to %d bytes", key, n))
		}
		kv := clone(small)
		kv.data[key] = append(slices.Clone(record), 0)
		noticed(t, kv, key+" with a byte more")
	}
	t.Logf("%d bits", total)
}

// TestWhatIsWrongIsSaid: the message names the key, what is wrong with it, and where it is now.
func TestWhatIsWrongIsSaid(t *testing.T) {
	const whole = "; the whole state is set aside under aside/head, aside/part and aside/journal"
	const tail = "; the journal up to there is used, the rest is set aside under aside/journal"
	for name, test := range map[string]struct {
		spoil func(kv *memory)
		is    error
		want  string
	}{
		"short head": {
			func(kv *memory) { kv.data["head"] = []byte("PHXS") },
			checkpoint.ErrDamaged, "head: damaged state: 4 bytes are no record" + whole,
		},
		"empty head": {
			func(kv *memory) { kv.data["head"] = []byte{} },
			checkpoint.ErrDamaged, "head: damaged state: 0 bytes are no record" + whole,
		},
		"head of another program": {
			func(kv *memory) { kv.data["head"] = []byte(`{"version": 3, "offsets": {"a": 17, "b": 19}}`) },
			checkpoint.ErrForeign, `head: foreign state: it begins with "{\"ve", not "PHXS"` + whole,
		},
		"newer head": {
			func(kv *memory) { kv.data["head"] = checkpoint.ForgeVersion(kv.data["head"], 2) },
			checkpoint.ErrNewerVersion, "head: state of a newer version: version 2, this program knows up to 1" + whole,
		},
		"version 0": {
			func(kv *memory) { kv.data["head"] = checkpoint.ForgeVersion(kv.data["head"], 0) },
			checkpoint.ErrDamaged, "head: damaged state: there is no version 0" + whole,
		},
		"a part for a head": {
			func(kv *memory) { kv.data["head"] = checkpoint.ForgePart(nil, 7, 0) },
			checkpoint.ErrForeign, "head: foreign state: it is part 0 of generation 7, not a head" + whole,
		},
		"head with more": {
			func(kv *memory) {
				head := kv.data["head"]
				payload := append(slices.Clone(head[checkpoint.HeaderSize:len(head)-checkpoint.SumSize]), 0)
				kv.data["head"] = checkpoint.ForgeHead(payload, 7)
			},
			checkpoint.ErrDamaged, "head: damaged state: byte 44 of the payload: more than a head" + whole,
		},
		"part gone": {
			func(kv *memory) { delete(kv.data, "part/1/0") },
			checkpoint.ErrDamaged, "part/1/0: damaged state: it is missing" + whole,
		},
		"part torn": {
			func(kv *memory) { kv.data["part/1/0"] = kv.data["part/1/0"][:300] },
			checkpoint.ErrDamaged, "part/1/0: damaged state: the checksum does not match" + whole,
		},
		"part of another generation": {
			func(kv *memory) { kv.data["part/1/0"] = checkpoint.ForgePart(nil, 9, 0) },
			checkpoint.ErrForeign, "part/1/0: foreign state: it is part 0 of generation 9, not part 0 of generation 1700000025000000000" + whole,
		},
		"another part of the generation": {
			func(kv *memory) { kv.data["part/1/0"] = checkpoint.ForgePart(nil, zero+interval, 0) },
			checkpoint.ErrForeign, "part/1/0: foreign state: it is not the one that the head names" + whole,
		},
		"newer part": {
			func(kv *memory) { kv.data["part/1/0"] = checkpoint.ForgeVersion(kv.data["part/1/0"], 3) },
			checkpoint.ErrNewerVersion, "part/1/0: state of a newer version: version 3, this program knows up to 1" + whole,
		},
		"journal torn": {
			func(kv *memory) { kv.data["journal/1/1"] = kv.data["journal/1/1"][:50] },
			checkpoint.ErrDamaged, "journal/1/1: damaged state: the checksum does not match" + tail,
		},
		"journal with a gap": {
			func(kv *memory) { delete(kv.data, "journal/1/1") },
			checkpoint.ErrDamaged, "journal/1/1: damaged state: it is missing" + tail,
		},
		"journal in disorder": {
			func(kv *memory) { kv.data["journal/1/2"] = kv.data["journal/1/1"] },
			checkpoint.ErrForeign, "journal/1/2: foreign state: it is journal 1 of generation 1700000025000000000, not journal 2 of generation 1700000025000000000" + tail,
		},
		"journal of another life": {
			func(kv *memory) { kv.data["journal/1/2"] = checkpoint.ForgeJournal(make([]byte, 16), zero+interval, 2) },
			checkpoint.ErrForeign, "journal/1/2: foreign state: it does not continue the record before" + tail,
		},
		"journal without sense": {
			func(kv *memory) {
				kv.data["journal/1/2"] = checkpoint.ForgeJournal(append(make([]byte, 16), 7), zero+interval, 2)
			},
			checkpoint.ErrDamaged, "journal/1/2: damaged state: byte 17 of the payload: an unknown entry" + tail,
		},
	} {
		t.Run(name, func(t *testing.T) {
			kv := smallState(t)
			test.spoil(kv)
			st, err := checkpoint.Open(kv).Load(t.Context())
			if st != nil {
				require.NoError(t, err)
				err = st.Damage
			}
			require.ErrorIs(t, err, test.is)
			require.EqualError(t, err, test.want)
		})
	}
}

// TestAPageOfAnEarlierGenerationEndsTheJournal: one that could not be deleted is no damage.
func TestAPageOfAnEarlierGenerationEndsTheJournal(t *testing.T) {
	kv := smallState(t)
	kv.data["journal/1/4"] = checkpoint.ForgeJournal(make([]byte, 16), zero, 4)
	st, err := checkpoint.Open(kv).Load(t.Context())
	require.NoError(t, err)
	require.NoError(t, st.Damage)
	require.NotContains(t, kv.data, "journal/1/4")
	require.Contains(t, kv.data, "journal/1/3")
}

// TestOnlyTheLatestIsKeptAside, and all of it, as it was.
func TestOnlyTheLatestIsKeptAside(t *testing.T) {
	kv := smallState(t)
	for i := range 5 { // more than the next one has
		kv.data[fmt.Sprint("aside/part/", i)] = []byte("old")
		kv.data[fmt.Sprint("aside/journal/", i)] = []byte("old")
	}
	before := maps.Clone(kv.data)
	kv.data["head"] = []byte("something else altogether, of another program")
	_, err := checkpoint.Open(kv).Load(t.Context())
	require.ErrorIs(t, err, checkpoint.ErrForeign)
	require.Equal(t, []string{"aside/head", "aside/journal/0", "aside/journal/1", "aside/journal/2", "aside/journal/3", "aside/part/0"}, kv.keys())
	require.Equal(t, before["part/1/0"], kv.data["aside/part/0"])
	require.Equal(t, before["journal/1/3"], kv.data["aside/journal/3"])

	store := checkpoint.Open(kv)
	st, err := store.Load(t.Context())
	require.NoError(t, err)
	require.Nil(t, st, "it begins anew")
	_, err = write(t.Context(), store, c.New(patient), zero)
	require.NoError(t, err)
	kv.data["head"] = kv.data["head"][:10]
	_, err = checkpoint.Open(kv).Load(t.Context())
	require.ErrorIs(t, err, checkpoint.ErrDamaged)
	require.Equal(t, []string{"aside/head"}, kv.keys(), "there was nothing else")
}

// TestTheEndOfAJournalIsKeptAside and what is written next takes its place.
func TestTheEndOfAJournalIsKeptAside(t *testing.T) {
	kv := smallState(t)
	kv.data["aside/head"], kv.data["aside/part/0"] = []byte("old"), []byte("old")
	spoilt := kv.data["journal/1/2"][:40]
	kv.data["journal/1/2"] = spoilt
	last := kv.data["journal/1/3"]
	store := checkpoint.Open(kv)
	st, err := store.Load(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, st.Damage, checkpoint.ErrDamaged)
	require.Equal(t, []string{"aside/journal/0", "aside/journal/1", "head", "journal/1/0", "journal/1/1", "part/1/0"}, kv.keys())
	require.Equal(t, [][]byte{spoilt, last}, [][]byte{kv.data["aside/journal/0"], kv.data["aside/journal/1"]})

	counts, err := st.Restore(c.New(patient), &stream.Table{}, zero+3*interval)
	require.NoError(t, err)
	require.Equal(t, zero+interval, counts.Edge, "the end of the second flush is in the record that is spoilt")
	require.Equal(t, counts.Shown, counts.Interrupted)
	require.NoError(t, store.Journal(zero+3*interval).End(t.Context()))
	st, err = checkpoint.Open(kv).Load(t.Context())
	require.NoError(t, err)
	require.NoError(t, st.Damage)
	require.Contains(t, kv.data, "journal/1/2")
}

// TestWhatCannotBeSetAsideIsNotUsedEither, and the message says so.
func TestWhatCannotBeSetAsideIsNotUsedEither(t *testing.T) {
	full := errors.New("no space left")
	for operation, want := range map[string]string{
		"set aside/part":    "; it could not be set aside: write aside/part/0: no space left",
		"set aside/journal": "; it could not be set aside: write aside/journal/0: no space left",
		"set aside/head":    "; it could not be set aside: write aside/head: no space left",
		"delete head":       "; a copy is under aside/, but the original stays: no space left",
	} {
		kv := smallState(t)
		kv.data["head"] = kv.data["head"][:30]
		kv.fail = map[string]error{operation: full}
		store := checkpoint.Open(kv)
		st, err := store.Load(t.Context())
		require.Nil(t, st)
		require.ErrorIs(t, err, checkpoint.ErrDamaged)
		require.ErrorIs(t, err, full)
		require.True(t, strings.HasSuffix(err.Error(), want), err.Error())
		kv.fail = nil
		_, err = write(t.Context(), store, c.New(patient), zero)
		require.NoError(t, err)
		st, err = checkpoint.Open(kv).Load(t.Context())
		require.NoError(t, err)
		require.NotNil(t, st)
		for key := range kv.data {
			require.True(t, key == "head" || strings.HasPrefix(key, "aside/") || key == "part/0/0", key)
		}
	}
}
