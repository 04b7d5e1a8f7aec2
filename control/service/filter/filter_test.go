package filter_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/service/filter"
)

var fields = map[string]filter.Kind{
	"metric": filter.Text, "spec.owner": filter.Text, "series": filter.Number, "growing": filter.Bool, "at": filter.Time,
}

func TestConjunctionsAreRead(t *testing.T) {
	f := func(text string, want ...filter.Condition) {
		t.Helper()
		got, err := filter.Parse(text, fields)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	f("")
	f(" \n\t")
	f(`metric = "http.*"`, filter.Condition{Field: "metric", Op: filter.Equal, Text: "http.*"})
	// A name without blanks needs no quotes
	f(`metric=http.server.*`, filter.Condition{Field: "metric", Op: filter.Equal, Text: "http.server.*"})
	f(`metric : "slash/and \"quote\""`, filter.Condition{Field: "metric", Op: filter.Has, Text: `slash/and "quote"`})
	f(`metric:*`, filter.Condition{Field: "metric", Op: filter.Has, Text: "*"})
	f(`metric = "(a OR b), NOT c"`, filter.Condition{Field: "metric", Op: filter.Equal, Text: "(a OR b), NOT c"})
	f(`spec.owner != 'me'`, filter.Condition{Field: "spec.owner", Op: filter.NotEqual, Text: "me"})
	f("series>=1000 AND series < -2.5",
		filter.Condition{Field: "series", Op: filter.GreaterEqual, Number: 1000},
		filter.Condition{Field: "series", Op: filter.Less, Number: -2.5})
	f(`metric = "\xe9"`, filter.Condition{Field: "metric", Op: filter.Equal, Text: "é"})
	f("growing = true AND growing != false",
		filter.Condition{Field: "growing", Op: filter.Equal, Text: "true", Number: 1},
		filter.Condition{Field: "growing", Op: filter.NotEqual, Text: "false"})
	f(`at > "2026-03-14T15:09:26Z"`, filter.Condition{
		Field: "at", Op: filter.Greater, Text: "2026-03-14T15:09:26Z", Time: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC),
	})
	var many []filter.Condition
	for range 32 {
		many = append(many, filter.Condition{Field: "series", Op: filter.NotEqual})
	}
	f(strings.TrimSuffix(strings.Repeat("series != 0 AND ", 32), " AND "), many...)
}

func TestEverythingElseIsRefusedWithWhatCanBeAsked(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := filter.Parse(text, fields)
		var refused *fault.Fault
		require.ErrorAs(t, err, &refused, text)
		require.Equal(t, fault.Invalid, refused.Reason)
		require.Len(t, refused.Violations, 1)
		assert.Equal(t, "filter", refused.Violations[0].Field)
		said, usage, _ := strings.Cut(refused.Violations[0].Description, "; ")
		assert.Equal(t, want, said, text)
		assert.Equal(t, `write comparisons joined by AND, such as metric = "a*"; the fields are at, growing, metric, series, spec.owner`, usage)
	}
	f("series", "a comparison is missing")
	f("series > 1 OR series < 2", "OR cannot be used")
	f("NOT series > 1", "NOT cannot be used")
	f("-series > 1", "NOT cannot be used")
	f("(series > 1)", "parentheses and functions cannot be used")
	f("duration(metric) = 1", "parentheses and functions cannot be used")
	f(strings.Repeat("(", 1000), "parentheses and functions cannot be used")
	f("metric = a b", "comparisons must be joined by AND, and texts with blanks, - or * stand in quotes")
	f("metric = a-b", "cannot be read at character 11: unexpected trailing token -")
	f("mtric = a", `"mtric" is no field`)
	f(`"metric" = a`, `"" is no field`)
	f("5 = 5", `"" is no field`)
	f("metric > a", "metric can be compared by =, !=, :, not by >")
	f("series : 5", "series can be compared by =, !=, <, <=, >, >=, not by :")
	f("metric = 5", "metric takes a text in quotes")
	f(`series = "5"`, "series takes a number without quotes and exponent")
	f("series > series", "series takes a number without quotes and exponent")
	f("series > 1e3", "cannot be read at character 11: unexpected trailing token TEXT")
	f("series > 0x10", "numbers are decimal")
	f("series > 010", "the number 010 begins with 0")
	f("series > 99999999999999999999", "cannot be read at character 10: unexpected token NUM")
	f("growing = 1", "growing is true or false")
	f("growing > true", "growing can be compared by =, !=, not by >")
	f(`at > "yesterday"`, `at takes a time such as "2026-03-14T15:00:00Z"`)
	f("metric = \"\xff\"", "cannot be read at character 10: invalid UTF-8")
	f(`metric = "open`, "cannot be read at character 10: unterminated string")
	f("metric =", "ends too early, after metric =")
	f("series > 1 AND", "cannot be read at character 11: unexpected trailing token WS")
	f(strings.Repeat("a", 3000), "has 3000 bytes, may have 2048")
	f(strings.TrimSuffix(strings.Repeat("series > 1 AND ", 33), " AND "), "has 33 comparisons, may have 32")
}

func TestAListWithoutFieldsSaysSo(t *testing.T) {
	_, err := filter.Parse("a = b", nil)
	var refused *fault.Fault
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, `"a" is no field; this list has no fields to filter by`, refused.Violations[0].Description)
}

func TestConditionsHold(t *testing.T) {
	f := func(text string, value any, want bool) {
		t.Helper()
		conditions, err := filter.Parse(text, fields)
		require.NoError(t, err)
		require.Len(t, conditions, 1)
		c := conditions[0]
		var got bool
		switch v := value.(type) {
		case string:
			got = c.MatchText(v)
		case float64:
			got = c.MatchNumber(v)
		case bool:
			got = c.MatchBool(v)
		case time.Time:
			got = c.MatchTime(v)
		}
		assert.Equal(t, want, got, "%s for %v", text, value)
	}
	f(`metric = "a"`, "a", true)
	f(`metric = "a"`, "ab", false)
	f(`metric = "a*"`, "ab", true)
	f(`metric != "a*"`, "ab", false)
	f(`metric = "ab*b"`, "ab", false) // the b cannot be both
	f(`metric = "*.duration"`, "a.duration.duration", true)
	f(`metric : "dur"`, "a.duration", true)
	f(`metric : "*"`, "", false) // is there
	f(`metric : "*"`, "x", true)
	for op, want := range map[string][3]bool{
		"=": {false, true, false}, "!=": {true, false, true}, "<": {true, false, false},
		"<=": {true, true, false}, ">": {false, false, true}, ">=": {false, true, true},
	} {
		for i, value := range []float64{1, 2, 3} {
			f("series "+op+" 2", value, want[i])
		}
		noon := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
		for i := range 3 {
			f(`at `+op+` "2026-03-14T12:00:00Z"`, noon.Add(time.Duration(i-1)*time.Second), want[i])
		}
	}
	f("growing = true", true, true)
	f("growing = true", false, false)
	f("growing != true", false, true)
}

func TestStarsAgreeWithRegularExpressions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*]{0,8}`).Draw(t, "pattern")
		value := rapid.StringMatching(`[ab]{0,10}`).Draw(t, "value")
		conditions, err := filter.Parse(fmt.Sprintf("metric = %q", pattern), fields)
		require.NoError(t, err)
		want := regexp.MustCompile("^(?:" + strings.ReplaceAll(pattern, "*", ".*") + ")$").MatchString(value)
		require.Equal(t, want, conditions[0].MatchText(value), "%q for %q", pattern, value)
	})
}

// TestAnyTextSurvives holds that what a user quotes is what is compared.
func TestAnyTextSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringN(0, 40, 200).Draw(t, "value")
		if strings.ContainsAny(value, "\r") { // the library turns \r\n into \n
			return
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
		conditions, err := filter.Parse("metric = "+quoted, fields)
		require.NoError(t, err)
		require.Equal(t, value, conditions[0].Text)
	})
}

// FuzzParse holds that whatever is asked is refused as a violation of bounded
// length, or is conditions on known fields.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", `metric = "http.*" AND series > 1000`, "a OR b", "((((", `at >= "2026-03-14T15:00:00Z" AND growing = true`,
		"series=-1.5", "a.b.c:d", `metric="\u00e9\x41\101"`, "metric = a AND\nseries<=3", "f(g(h(", "\xff", "0x", "'", "- - -", ".5=.5",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		conditions, err := filter.Parse(text, fields)
		if err != nil {
			var refused *fault.Fault
			require.ErrorAs(t, err, &refused)
			require.Len(t, refused.Violations, 1)
			require.Less(t, len(refused.Violations[0].Description), 400)
			require.True(t, utf8.ValidString(refused.Violations[0].Description) || !utf8.ValidString(text))
			return
		}
		for _, c := range conditions {
			require.Contains(t, fields, c.Field)
			require.True(t, utf8.ValidString(c.Text))
			c.MatchText(text)
			c.MatchNumber(1)
			c.MatchBool(true)
			c.MatchTime(time.Time{})
		}
	})
}
