package capture

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func scanAll(text string) (samples []sample, types map[string]string, err error) {
	types = map[string]string{}
	err = scan([]byte(text),
		func(name, kind string) error { types[name] = kind; return nil },
		func(s sample) error { samples = append(samples, s); return nil })
	return samples, types, err
}

func TestScanReadsSamples(t *testing.T) {
	for name, tc := range map[string]struct {
		line string
		want sample
	}{
		"no labels":              {`up 1`, sample{name: "up"}},
		"a tab":                  {"up\t1", sample{name: "up"}},
		"empty braces":           {`up{} 1`, sample{name: "up"}},
		"space before braces":    {`up {a="b"} 1`, sample{"up", []label{{"a", "b"}}}},
		"no space after braces":  {`up{a="b"}1`, sample{"up", []label{{"a", "b"}}}},
		"trailing comma":         {`up{a="b",} 1`, sample{"up", []label{{"a", "b"}}}},
		"spaces everywhere":      {` up { a = "b" , c = "d" } 1 1700000000000 `, sample{"up", []label{{"a", "b"}, {"c", "d"}}}},
		"braces in a value":      {`up{a="}{"} 1`, sample{"up", []label{{"a", "}{"}}}},
		"comma and = in a value": {`up{a="b=c,d"} 1`, sample{"up", []label{{"a", "b=c,d"}}}},
		"hash in a value":        {`up{a="# TYPE x"} 1`, sample{"up", []label{{"a", "# TYPE x"}}}},
		"escapes":                {`up{a="q\"b\\n\n."} 1`, sample{"up", []label{{"a", "q\"b\\n\n."}}}},
		"ends in a backslash":    {`up{a="\\",b="c"} 1`, sample{"up", []label{{"a", `\`}, {"b", "c"}}}},
		"empty value":            {`up{a=""} NaN`, sample{"up", []label{{"a", ""}}}},
		"a carriage return":      {"up{a=\"b\"} +Inf\r", sample{"up", []label{{"a", "b"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := scanAll(tc.line)
			require.NoError(t, err)
			assert.Equal(t, []sample{tc.want}, got)
		})
	}
}

func TestScanReadsTypesAndSkipsComments(t *testing.T) {
	samples, types, err := scanAll("# HELP up # TYPE down gauge\n#TYPE up gauge\n\n# TYPE  h\thistogram\n# a comment\n#\nup 1")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"up": "gauge", "h": "histogram"}, types)
	assert.Len(t, samples, 1)
}

func TestScanRefuses(t *testing.T) {
	for line, want := range map[string]error{
		`{a="b"} 1`:             errNoName,
		`{"my.metric",a="b"} 1`: errQuotedName,
		`up{"a.b"="c"} 1`:       errQuotedName,
		`up`:                    errNoValue,
		`up{a="b"}`:             errNoValue,
		`up{="b"} 1`:            errLabelName,
		`up{a=b} 1`:             errLabelQuote,
		`up{a="b} 1`:            errUnfinished,
		`up{a="b" 1`:            errUnfinished,
		`up{a="b\`:              errUnfinished,
		`up{a="\t"} 1`:          errEscape,
		`# TYPE up`:             errTypeLine,
	} {
		t.Run(line, func(t *testing.T) {
			_, _, err := scanAll("fine 1\n" + line)
			require.ErrorIs(t, err, want)
			assert.ErrorContains(t, err, "line 2: ")
		})
	}
}

// What is written with the format's three escapes is read back.
func TestScanInvertsWriting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z_:][a-z0-9_:]{0,8}`)
		pairs := rapid.MapOf(rapid.StringMatching(`[a-z_][a-z0-9_]{0,8}`), rapid.String()).Draw(t, "labels")
		want := sample{name: name.Draw(t, "name")}
		var b strings.Builder
		b.WriteString(want.name + "{")
		for _, key := range slices.Sorted(maps.Keys(pairs)) {
			want.labels = append(want.labels, label{key, pairs[key]})
			fmt.Fprintf(&b, `%s="%s",`, key, strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(pairs[key]))
		}
		b.WriteString("} 1")
		got, _, err := scanAll(b.String())
		require.NoError(t, err)
		require.Equal(t, []sample{want}, got)
	})
}
