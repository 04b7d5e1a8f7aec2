package experiment

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// Duration is a time span that is text such as 90s or 1h30m in JSON. What cannot
// be read becomes a value that Validate and DecodeState refuse.
type Duration = policy.Duration

// plus adds spans that are not negative, and stays at the largest.
func plus(d, other Duration) Duration {
	if d > math.MaxInt64-other {
		return math.MaxInt64
	}
	return d + other
}

// Number is a float64 that may be NaN or infinite in JSON too, as the text NaN,
// +Inf or -Inf.
type Number float64

var errNumber = errors.New("must be a number, NaN, +Inf or -Inf")

// MarshalJSON writes a number, or a text for what JSON has no number for.
func (n Number) MarshalJSON() ([]byte, error) {
	v := float64(n)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.AppendQuote(nil, strconv.FormatFloat(v, 'g', -1, 64)), nil
	}
	return json.Marshal(v)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (n *Number) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case `"NaN"`:
		*n = Number(math.NaN())
	case `"+Inf"`:
		*n = Number(math.Inf(1))
	case `"-Inf"`:
		*n = Number(math.Inf(-1))
	default:
		var v float64
		if err := json.Unmarshal(data, &v); err != nil || string(data) == "null" {
			return errNumber
		}
		*n = Number(v)
	}
	return nil
}

func (n Number) finite() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }

// percent writes a fraction, such as 12.5 %.
func (n Number) percent() string {
	if !n.finite() {
		return strconv.FormatFloat(float64(n), 'g', -1, 64)
	}
	return strconv.FormatFloat(math.Round(float64(n)*100_000)/1000, 'f', -1, 64) + " %"
}

// The times that have a form in JSON. Others are moved to the nearer end.
var (
	firstTime = time.Unix(0, 0).UTC()
	lastTime  = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
)

// plainTime is a time as it comes back from JSON: UTC, without a monotonic part.
func plainTime(t time.Time) time.Time {
	t = t.Round(0).UTC()
	switch {
	case t.Before(firstTime):
		return firstTime
	case t.After(lastTime):
		return lastTime
	}
	return t
}

// maxText bounds the texts that a state keeps, in bytes.
const maxText = 512

// plainText is a text as it comes back from JSON, and bounded.
func plainText(text string) string {
	if text = cut(text); utf8.ValidString(text) {
		return text
	}
	return cut(string([]rune(text)))
}

// cut bounds a text where a character begins.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > maxText-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
