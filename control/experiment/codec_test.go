package experiment

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecodeStateRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := DecodeState([]byte(text))
		require.EqualError(t, err, "read the state of an experiment: "+want)
	}
	state := func(fields string) string {
		return `{"version":1,"state":{"phase":"Running","weights":{"baseline":95,"candidate":5},"history":{"total":0,"stride":0}` + fields + `}}`
	}
	_, err := DecodeState([]byte(state("")))
	require.NoError(t, err)
	const no = "it is no state that an experiment can be in: "
	f(`{`, "unexpected end of JSON input")
	f(`{}`, "its version is 0, and this program reads 1")
	f(`{"version":2,"state":{"new":1}}`, "its version is 2, and this program reads 1")
	f(state("")+"{}", "invalid character '{' after top-level value")
	f(state(`,"mood":"good"`), `json: unknown field "mood"`)
	f(state(`,"phase":"Sleeping"`), no+`there is no phase "Sleeping"`)
	f(state(`,"phase":"Paused"`), no+"the candidate has weight while Paused")
	f(state(`,"weights":{"baseline":95,"candidate":6}`), no+"the weights are 95 and 6")
	f(state(`,"weights":{"baseline":-1,"candidate":101}`), no+"the weights are -1 and 101")
	f(state(`,"ran":"-1s"`), no+"a time span is negative or unreadable")
	f(state(`,"tracks":{"a":{"silent":"soon"}}`), no+"a time span is negative or unreadable")
	f(state(`,"candidate":{"latency":"soon"}`), no+"a time span is negative or unreadable")
	f(state(`,"fidelity":{"longest_for":"soon"}`), no+"a time span is negative or unreadable")
	f(state(`,"step":20`), no+"there is no step 20")
	f(state(`,"held":[`+strings.Repeat("{},", maxReasons)+`{}]`), no+"it is too large")
}

func TestNumber(t *testing.T) {
	f := func(v float64, want string) {
		t.Helper()
		data, err := json.Marshal(Number(v))
		require.NoError(t, err)
		assert.Equal(t, want, string(data))
		var n Number
		require.NoError(t, json.Unmarshal(data, &n))
		assert.True(t, float64(n) == v || math.IsNaN(float64(n)) && math.IsNaN(v))
	}
	f(0.25, "0.25")
	f(math.NaN(), `"NaN"`)
	f(math.Inf(1), `"+Inf"`)
	f(math.Inf(-1), `"-Inf"`)
	var n Number
	require.Error(t, json.Unmarshal([]byte(`"x"`), &n))
	require.Error(t, json.Unmarshal([]byte(`[null]`), &[]Number{}))
	assert.Equal(t, "12.346 %", Number(0.123456).percent())
	assert.Equal(t, "+Inf", Number(math.Inf(1)).percent())
}

func TestPlainTextIsBounded(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		assert.Equal(t, want, plainText(in))
	}
	f("a", "a")
	f("a\xffb", "a\uFFFDb")
	f(strings.Repeat("a", maxText+1), strings.Repeat("a", maxText))
	f(strings.Repeat("a", maxText-1)+"é", strings.Repeat("a", maxText-1))
	f(strings.Repeat("a", maxText-2)+"€", strings.Repeat("a", maxText-2))
	f(strings.Repeat("a", maxText-2)+"é", strings.Repeat("a", maxText-2)+"é")
	assert.LessOrEqual(t, len(plainText(strings.Repeat("\xff", 2*maxText))), maxText, "also when replaced")
	assert.Equal(t, firstTime, plainTime(time.Time{}))
	assert.Equal(t, lastTime, plainTime(time.Unix(math.MaxInt32*1000, 0)))
}

func TestHistoryIsSpreadEvenly(t *testing.T) {
	var h History
	for i := range 1000 {
		h.add(Look{Seq: uint64(i)})
		require.LessOrEqual(t, len(h.Looks), maxLooks)
		require.Equal(t, uint64(0), h.Looks[0].Index, "the first one stays")
		require.Equal(t, uint64(i), h.Looks[len(h.Looks)-1].Index, "the newest one is there")
		require.Greater(t, 2*len(h.Looks), min(i, maxLooks))
		for j, l := range h.Looks[1:] {
			require.LessOrEqual(t, l.Index-h.Looks[j].Index, h.Stride)
		}
	}
	assert.Equal(t, uint64(1000), h.Total)
	wild := History{Total: math.MaxUint64, Stride: 1 << 63, Looks: make([]Look, 40)}
	wild.add(Look{})
	assert.LessOrEqual(t, len(wild.Looks), maxLooks)
}
