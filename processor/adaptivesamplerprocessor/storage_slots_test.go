package adaptivesamplerprocessor

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"pgregory.net/rapid"
)

var errDisk = errors.New("the disk is full")

// flaky is a storage that fails from some operation on, as a process that is
// killed there would leave it.
type flaky struct {
	storage.Client
	left  int // operations until it fails; below 0: never
	wrote map[string]bool
}

func (f *flaky) use() error {
	if f.left == 0 {
		return errDisk
	}
	f.left--
	return nil
}

func (f *flaky) Set(ctx context.Context, key string, value []byte) error {
	if err := f.use(); err != nil {
		return err
	}
	f.wrote[key] = true
	return f.Client.Set(ctx, key, value)
}

func (f *flaky) Delete(ctx context.Context, key string) error {
	if err := f.use(); err != nil {
		return err
	}
	delete(f.wrote, key)
	return f.Client.Delete(ctx, key)
}

func newFlaky(tb testing.TB) *flaky {
	tb.Helper()
	host := newStorageHost(tb, tb.TempDir())
	s, err := openState(tb.Context(), host, &storageID, samplerID)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.close(context.WithoutCancel(tb.Context()))) })
	return &flaky{Client: s.client, left: -1, wrote: map[string]bool{}}
}

// content is what a part would save.
type content map[string]string

func (c content) from(write func(key string, value []byte) error) error {
	for _, key := range slices.Sorted(maps.Keys(c)) {
		if err := write(key, []byte(c[key])); err != nil {
			return err
		}
	}
	return nil
}

func loadContent(tb testing.TB, client storage.Client, keys int) (content, error) {
	tb.Helper()
	s := &slots{client: client, signal: "traces", secret: 7}
	found, err := s.load(tb.Context())
	if !found {
		return nil, err
	}
	got := content{}
	for i := range keys {
		key := strconv.Itoa(i)
		value, err := s.read(tb.Context(), key)
		require.NoError(tb, err)
		if value != nil {
			got[key] = string(value)
		}
	}
	return got, nil
}

// Whatever operation is the last one, what is read afterwards is the save before
// or the new one, whole; and nothing is left over after the next save.
func TestSlotsSurviveEveryEnd(t *testing.T) {
	client := newFlaky(t)
	rapid.Check(t, func(r *rapid.T) {
		contents := rapid.MapOfN(rapid.SampledFrom([]string{"0", "1", "2", "3", "4"}), rapid.StringN(0, 5, 5), 0, 5)
		before, after := content(contents.Draw(r, "before")), content(contents.Draw(r, "after"))
		client.left = -1
		s := &slots{client: client, signal: "traces", secret: 7}
		_, err := s.load(t.Context())
		require.NoError(r, err)
		require.NoError(r, s.save(t.Context(), before.from))
		client.left = rapid.IntRange(0, 12).Draw(r, "operations")
		saved := s.save(t.Context(), after.from)
		client.left = -1

		got, err := loadContent(t, client, 5)
		require.NoError(r, err)
		if saved != nil {
			require.ErrorIs(r, saved, errDisk)
			require.Equal(r, before, got)
		} else {
			require.Equal(r, after, got)
		}

		s = &slots{client: client, signal: "traces", secret: 7}
		_, err = s.load(t.Context())
		require.NoError(r, err)
		require.NoError(r, s.save(t.Context(), after.from))
		require.Len(r, client.wrote, len(after)+1, "the records and the head: %v", client.wrote)
	})
}

// The same process goes on after a save that failed.
func TestSlotsSaveAgain(t *testing.T) {
	client := newFlaky(t)
	s := &slots{client: client, signal: "traces", secret: 7}
	one, two := content{"0": "a", "1": "b", "2": "c"}, content{"0": "d"}
	require.NoError(t, s.save(t.Context(), one.from))
	client.left = 2
	require.ErrorIs(t, s.save(t.Context(), one.from), errDisk)
	client.left = -1
	require.NoError(t, s.save(t.Context(), two.from))
	got, err := loadContent(t, client, 3)
	require.NoError(t, err)
	assert.Equal(t, two, got)
	assert.Len(t, client.wrote, 2)
}

// A record that is not what was written is never used.
func TestSlotsDamage(t *testing.T) {
	save := func(client storage.Client) *slots {
		s := &slots{client: client, signal: "traces", secret: 7}
		require.NoError(t, s.save(t.Context(), content{"0": "a", "1": ""}.from))
		return s
	}
	f := func(key string, value []byte, secret uint64, want error) {
		t.Helper()
		client := newFlaky(t)
		save(client)
		if key != "" {
			if value == nil {
				require.NoError(t, client.Delete(t.Context(), key))
			} else {
				require.NoError(t, client.Set(t.Context(), key, value))
			}
		}
		s := &slots{client: client, signal: "traces", secret: secret}
		found, err := s.load(t.Context())
		if found {
			_, err = s.read(t.Context(), "0")
			_, other := s.read(t.Context(), "1")
			err = errors.Join(err, other)
		}
		require.ErrorIs(t, err, want)
		// It begins anew.
		require.NoError(t, s.save(t.Context(), content{"0": "new"}.from))
		again := &slots{client: client, signal: "traces", secret: secret}
		found, err = again.load(t.Context())
		require.NoError(t, err)
		require.True(t, found)
	}
	f("", nil, 7, nil)
	f("", nil, 8, errForeign)
	f("traces/head", []byte{}, 7, errDamaged)
	f("traces/head", []byte("something else"), 7, errNewer)
	f("traces/head", sealRecord([]byte("{}}")), 7, errForeign)
	f("traces/head", sealRecord([]byte(`{"secret":7,"slot":5,"keys":[]}`)), 7, errDamaged)
	f("traces/head", sealRecord([]byte(`{"secret":7,"slot":1,"keys":[],"more":1}`)), 7, errNewer)
	f("traces/b/0", nil, 7, errMissing)
	f("traces/b/1", []byte("x"), 7, errDamaged)
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte{})
	f.Add(sealRecord([]byte(`{"secret":7,"slot":1,"keys":[{"key":"a","sum":1}]}`)))
	f.Add(sealRecord([]byte(`{"version":3,"sampling":[{"name":"a","dead_band":{"match":{"metric":"x"},"tolerance":{}}}]}`)))
	f.Fuzz(func(t *testing.T, record []byte) {
		var h slotHead
		_ = decodeRecord(record, &h)
		var k keptRules
		if decodeRecord(record, &k) == nil {
			for _, r := range k.Sampling {
				_ = usable(r, map[string]bool{})
			}
		}
		content, err := openRecord(record)
		if err == nil {
			require.Equal(t, record, sealRecord(content))
		} else {
			require.True(t, errors.Is(err, errDamaged) || errors.Is(err, errNewer))
			require.NotContains(t, err.Error(), "\n")
		}
	})
}
