package store_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/store"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// TestTheHashOfARecordStays is the promise to whoever keeps a log: a program of
// any version computes this.
func TestTheHashOfARecordStays(t *testing.T) {
	r := store.AuditRecord{
		Time: at, Entry: store.Entry{
			Principal: "CN=ada,O=\"x\"", Action: "policies.enforce", Outcome: store.OutcomeDone, Resource: "policies/shop/drop-pod",
			Namespace: "shop", Origin: "192.0.2.1:4711", RequestID: "<&>\u2028",
			Detail: map[string]string{"force": "true", "\U0001F600": "1", "\uFB33": "2", "reason": "line 1\nline\t2\u0001\u007fé"},
		},
		After: store.SumSHA256([]byte("after")),
	}
	chain := store.Chain{Seq: 41, Hash: store.SumSHA256([]byte("the one before"))}
	chain.Append(&r)
	// RFC 8785 sorts by UTF-16, in which U+1F600 comes before U+FB33.
	want := "{\"action\":\"policies.enforce\",\"after\":\"f39592393ef0859cb196a52693d2cea00fb2df784b3c04ae54aa7cadb8e562f8\"" +
		",\"detail\":{\"force\":\"true\",\"reason\":\"line 1\\nline\\t2\\u0001\u007fé\",\"\U0001F600\":\"1\",\"\uFB33\":\"2\"}" +
		",\"namespace\":\"shop\",\"origin\":\"192.0.2.1:4711\",\"outcome\":\"done\",\"principal\":\"CN=ada,O=\\\"x\\\"\",\"request_id\":\"<&>\u2028\"" +
		",\"resource\":\"policies/shop/drop-pod\",\"seq\":42,\"time\":\"2026-03-01T12:00:00.123456Z\"}"
	assert.Equal(t, want, string(r.Canonical()))
	assert.Equal(t, "8d0da4874294457cee223c75ad0e26fdd3ea2bdcc9dd26acf8cdbade1664007d", r.Hash.String())

	least := store.AuditRecord{Time: at, Entry: store.Entry{Principal: "a", Action: "b", Outcome: store.OutcomeRefused}}
	new(store.Chain).Append(&least)
	want = `{"action":"b","outcome":"refused","principal":"a","seq":1,"time":"2026-03-01T12:00:00.123456Z"}`
	assert.Equal(t, want, string(least.Canonical()))
	assert.Equal(t, "08404f2535b893daf42fccbf59b6e2e0f7c8a3ad836b45f5bdc5db1b7bdbdefb", least.Hash.String())
}

func text(t *rapid.T, label string) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("ab\"\\/\n\t\u0001<\u2028é日\U0001F600\uFB33")), 0, 6, -1).Draw(t, label)
}

func drawDigest(t *rapid.T, label string) store.Digest {
	if rapid.Bool().Draw(t, label) {
		return store.SumSHA256([]byte(text(t, label)))
	}
	return store.Digest{}
}

func drawRecord(t *rapid.T) store.AuditRecord {
	r := store.AuditRecord{
		Time: at.Add(time.Duration(rapid.Int64Range(0, 1e6).Draw(t, "time")) * time.Microsecond),
		Entry: store.Entry{
			Principal: text(t, "principal"), Action: text(t, "action"), Resource: text(t, "resource"), Namespace: text(t, "namespace"),
			Outcome: rapid.SampledFrom([]store.Outcome{store.OutcomeDone, store.OutcomeRefused, store.OutcomeFailed}).Draw(t, "outcome"),
			Origin:  text(t, "origin"), RequestID: text(t, "request"),
		},
		Before: drawDigest(t, "before"), After: drawDigest(t, "after"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "details") {
		if r.Detail == nil {
			r.Detail = map[string]string{}
		}
		r.Detail[text(t, "key")] = text(t, "value")
	}
	return r
}

// TestCanonicalSaysEverything: it is JSON from which the record can be read
// back, so that no two records have one hash.
func TestCanonicalSaysEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		new(store.Chain).Append(&r)
		var read struct {
			Seq                                            uint64
			Time                                           time.Time
			Principal, Action, Resource, Namespace, Origin string
			Outcome                                        store.Outcome
			RequestID                                      string `json:"request_id"`
			Detail                                         map[string]string
			Before, After                                  store.Digest
		}
		decoder := json.NewDecoder(strings.NewReader(string(r.Canonical())))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(&read))
		again := store.AuditRecord{
			Seq: read.Seq, Time: read.Time, Before: read.Before, After: read.After, Previous: r.Previous, Hash: r.Hash,
			Entry: store.Entry{
				Principal: read.Principal, Action: read.Action, Outcome: read.Outcome, Resource: read.Resource, Namespace: read.Namespace,
				Origin: read.Origin, RequestID: read.RequestID, Detail: read.Detail,
			},
		}
		require.Equal(t, r, again)
	})
}

// check walks over a log as a verification does.
func check(log []store.AuditRecord, end store.Chain) error {
	var chain store.Chain
	for i := range log {
		if err := chain.Check(&log[i]); err != nil {
			return err
		}
	}
	if chain != end {
		return &store.ChainError{Seq: chain.Seq}
	}
	return nil
}

// TestEveryChangeOfALogIsFound makes a log, changes it in a random way, and
// expects that this is found, unless the change changes nothing.
func TestEveryChangeOfALogIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := make([]store.AuditRecord, rapid.IntRange(2, 8).Draw(t, "length"))
		var end store.Chain
		for i := range log {
			log[i] = drawRecord(t)
			end.Append(&log[i])
		}
		require.NoError(t, check(log, end))
		changed := slices.Clone(log)
		i := rapid.IntRange(0, len(log)-1).Draw(t, "at")
		j := rapid.IntRange(0, len(log)-1).Draw(t, "and")
		switch rapid.SampledFrom([]string{"edit", "edit and hash", "delete", "cut", "exchange", "insert", "renumber"}).Draw(t, "change") {
		case "edit":
			changed[i].Entry = drawEntry(t)
		case "edit and hash": // by somebody who knows how, but not what follows
			previous := store.Chain{Seq: changed[i].Seq - 1, Hash: changed[i].Previous}
			changed[i].Entry = drawEntry(t)
			previous.Append(&changed[i])
		case "delete":
			changed = slices.Delete(changed, i, i+1)
		case "cut":
			changed = changed[:i]
		case "exchange":
			changed[i], changed[j] = changed[j], changed[i]
		case "insert":
			changed = slices.Insert(changed, i, log[j])
		case "renumber":
			changed = slices.Delete(changed, i, i+1)
			for n := range changed {
				changed[n].Seq = uint64(n + 1)
			}
		}
		same := slices.EqualFunc(log, changed, func(a, b store.AuditRecord) bool {
			return a.Seq == b.Seq && a.Hash == b.Hash && a.Previous == b.Previous && bytes.Equal(a.Canonical(), b.Canonical())
		})
		err := check(changed, end)
		if same {
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, store.ErrChainBroken)
	})
}

func drawEntry(t *rapid.T) store.Entry { return drawRecord(t).Entry }

func TestDigestIsRead(t *testing.T) {
	d := store.SumSHA256([]byte("x"))
	var read store.Digest
	require.NoError(t, read.UnmarshalText([]byte(d.String())))
	assert.Equal(t, d, read)
	for _, bad := range []string{"", "00", d.String()[1:], d.String() + "00", strings.Repeat("zz", 32)} {
		require.Error(t, read.UnmarshalText([]byte(bad)), bad)
		assert.Equal(t, d, read, "what cannot be read changes nothing")
	}
}

// FuzzCanonicalText looks for text that does not come back from canonical JSON.
func FuzzCanonicalText(f *testing.F) {
	f.Add("a\"\\\x00\u2028é", "\U0001F600")
	f.Fuzz(func(t *testing.T, key, value string) {
		r := store.AuditRecord{Time: at, Entry: store.Entry{Principal: value, Action: "x", Outcome: store.OutcomeDone, Detail: map[string]string{key: value}}}
		if r.Check() != nil {
			return // nobody stores it
		}
		var read struct {
			Principal string
			Detail    map[string]string
		}
		require.NoError(t, json.Unmarshal(r.Canonical(), &read))
		require.Equal(t, value, read.Principal)
		require.Equal(t, r.Detail, read.Detail)
	})
}
