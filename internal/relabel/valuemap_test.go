package relabel

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"pgregory.net/rapid"
)

func mapped(t require.TestingT, m ValueMap, v Value) (string, bool) {
	compiled, err := newMapper(m)
	require.NoError(t, err)
	return compiled.apply(v, v.Text())
}

func TestTemplates(t *testing.T) {
	f := func(regex, template, value, want string) {
		t.Helper()
		got, known := mapped(t, ValueMap{Regex: regex, Template: template}, String(value))
		assert.True(t, known)
		assert.Equal(t, want, got)
	}
	f(`(\w+)-(\w+)`, "$2 of ${1}", "a-b", "b of a")
	f(`(?P<first>.)(?P<rest>.*)`, "${rest}$first", "abc", "bca")
	f(`.*`, "$$1 $$", "x", "$1 $")
	f(`(a)|(b)`, "[$1$2]", "b", "[b]") // a group that took no part is empty
	f(`a`, "$0$0", "a", "aa")
	f(`(.)(.)`, "${1}2$2é", "xy", "x2yé")
	f(`(?s).*`, "all", "a\nb\xff", "all")
	f(`x|(?i)POST`, "m", "post", "m")
	unknown := func(regex, template, value string) {
		t.Helper()
		_, known := mapped(t, ValueMap{Regex: regex, Template: template}, String(value))
		assert.False(t, known)
	}
	unknown(`a`, "b", "ab") // the whole value
	unknown(`a|b`, "b", "ax")
	unknown(`.*`, "b", strings.Repeat("x", MaxValueBytes+1))
	large := strings.Repeat("(a{0,400}|b)*", 150)
	unknown(large, "b", strings.Repeat("a", 1_000))
	f(large, "b", strings.Repeat("a", 128), "b")
	unknown(`(.*)`, "$1$1", strings.Repeat("x", MaxValueBytes/2+1))
}

func TestRanges(t *testing.T) {
	inf := math.Inf(1)
	m := ValueMap{Ranges: []Range{{-inf, 0, "below"}, {0, 200, "low"}, {200, 299.5, "2xx"}, {1 << 53, inf, "huge"}}}
	f := func(v Value, want string) {
		t.Helper()
		got, known := mapped(t, m, v)
		assert.Equal(t, want != "", known, "%v", v)
		assert.Equal(t, want, got)
	}
	f(Int(-1), "below")
	f(Int(0), "low")
	f(Int(199), "low")
	f(Int(200), "2xx")
	f(Int(299), "2xx")
	f(Int(300), "")
	f(Int(math.MaxInt64), "huge")
	f(Int(math.MinInt64), "below")
	f(Double(299.4), "2xx")
	f(Double(299.5), "")
	f(Double(math.NaN()), "")
	f(Double(inf), "huge")
	f(Double(-inf), "below")
	f(Double(math.Copysign(0, -1)), "low")
	f(String("200"), "2xx")
	f(String("+2e2"), "2xx")
	f(String(".5"), "low")
	f(String("-.5"), "below")
	f(String("1e999"), "huge")
	f(String("+Inf"), "huge")
	f(String("-Inf"), "below")
	f(String("9007199254740993"), "huge")
	f(String("-99999999999999999999"), "below")
	for _, word := range []string{"", "NaN", "nan", "Infinity", "infinity", "inf", "0x10", "1_0", " 1", "1 ", "e", "+", ".", "1e", "--1", "١"} {
		f(String(word), "")
	}
	f(Text("200"), "") // a bool, a list: no number
}

// Integers are compared without rounding them.
func TestIntegersInRangesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.OneOf(rapid.Int64(), rapid.Int64Range(1<<53-4, 1<<53+4), rapid.Int64Range(math.MaxInt64-3, math.MaxInt64)).Draw(t, "i")
		from := rapid.OneOf(rapid.Float64(), rapid.Just(float64(i)), rapid.Just(math.Nextafter(float64(i), math.Inf(1)))).Draw(t, "from")
		want := new(big.Float).SetPrec(200).SetInt64(i).Cmp(new(big.Float).SetPrec(2000).SetFloat64(from)) >= 0
		require.Equal(t, want, number{i: i, isInt: true}.reaches(from))
		_, known := mapped(t, ValueMap{Ranges: []Range{{from, math.Inf(1), "x"}}}, String(strconv.FormatInt(i, 10)))
		require.Equal(t, want && !math.IsInf(from, 1), known)
	})
}

func TestPaths(t *testing.T) {
	f := func(template, value string, want bool) {
		t.Helper()
		got, known := mapped(t, ValueMap{Paths: []string{template}}, String(value))
		assert.Equal(t, want, known, "%s %s", template, value)
		if want {
			assert.Equal(t, template, got)
		}
	}
	f("/users/{id}", "/users/17", true)
	f("/users/{id}", "/users/17?sort=/x#y", true)
	f("/users/{id}", "/users/17#/x", true)
	f("/users/{id}", "/users/", false)
	f("/users/{id}", "/users", false)
	f("/users/{id}", "/users/1/", false)
	f("/users/{id}", "/users/1/2", false)
	f("/users/{id}", "/Users/1", false)
	f("/users/{id}", "users/1", false)
	f("/users/{id}", "", false)
	f("/users/{id}/", "/users/1/", true)
	f("/users/{id}/", "/users/1", false)
	f("/{a}/x/{b}", "/1/x/2", true)
	f("/{a}/x/{b}", "/1/y/2", false)
	f("/files/{path...}", "/files/a/b", true)
	f("/files/{path...}", "/files/", true)
	f("/files/{path...}", "/files", false)
	f("/files/{path...}", "/file/a", false)
	f("/{path...}", "/", true)
	f("/{path...}", "/a//b", true)
	f("/", "/", true)
	f("/", "/a", false)
	f("/a//b", "/a//b", true)
	f("/{x}", "/"+strings.Repeat("y", MaxValueBytes), false)
	f("/{x}", "/y?"+strings.Repeat("y", MaxValueBytes), true)

	got, _ := mapped(t, ValueMap{Paths: []string{"/a/b", "/a/{x}", "/a/{all...}"}}, String("/a/b"))
	assert.Equal(t, "/a/b", got, "the first that fits")
	got, _ = mapped(t, ValueMap{Paths: []string{"/a/{x}", "/a/b", "/{all...}"}}, String("/a/b/c"))
	assert.Equal(t, "/{all...}", got)
}

// slowFits compares segment by segment.
func slowFits(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	for i, segment := range want {
		if strings.HasSuffix(segment, "...}") {
			return i < len(got)
		}
		if i >= len(got) || segment != got[i] && (segment == "" || segment[0] != '{' || got[i] == "") {
			return false
		}
	}
	return len(want) == len(got)
}

func TestPathsAgreeWithASlowModel(t *testing.T) {
	segments := rapid.SampledFrom([]string{"", "a", "b", "{x}", "{y}"})
	rapid.Check(t, func(t *rapid.T) {
		template := "/" + strings.Join(rapid.SliceOfN(segments, 1, 4).Draw(t, "template"), "/")
		if rapid.Bool().Draw(t, "rest") {
			template += "/{r...}"
		}
		path := rapid.StringMatching(`/?[ab/]{0,6}`).Draw(t, "path")
		p, err := newPath(template)
		require.NoError(t, err)
		require.Equal(t, slowFits(template, path), p.fits(path), "%s %s", template, path)
	})
}

func TestValuesHaveTheTextOfPdata(t *testing.T) {
	values := []pcommon.Value{
		pcommon.NewValueStr("x"), pcommon.NewValueInt(-7), pcommon.NewValueDouble(1e30), pcommon.NewValueDouble(0.1),
		pcommon.NewValueBool(true), pcommon.NewValueEmpty(), pcommon.NewValueMap(), pcommon.NewValueSlice(), pcommon.NewValueBytes(),
	}
	for _, v := range values {
		assert.Equal(t, v.AsString(), Of(v).Text())
	}
}

// The buckets are part of the identity of stored series: they never change.
func TestBucketsAreForEver(t *testing.T) {
	assert.Equal(t, "6", Bucket("", 11))
	assert.Equal(t, "38", Bucket("customer-17", 64))
	assert.Equal(t, strconv.FormatUint(0x44BC2CF5AD770999%1_000_003, 10), Bucket("abc", 1_000_003), "the published value of XXH64")
	assert.Equal(t, "0", Bucket("anything", 1))
	counts := map[string]int{}
	for i := range 64_000 {
		counts[Bucket(strconv.Itoa(i), 64)]++
	}
	assert.Len(t, counts, 64)
	for bucket, n := range counts {
		assert.InDelta(t, 1_000, n, 150, bucket)
	}
}

func FuzzRegex(f *testing.F) {
	f.Add(`(\w+) .*`, "$1 … ${1} $$", "a b")
	f.Add(`(?P<n>a*)*b|((c)?)`, "${n}$2", "aaaaaaaaaaaaaaaaaaaaaaac")
	f.Add(`a)|(b`, "$", "\xff")
	f.Add(`((a{10}){10}){10}`, "$3$0$9", "a")
	f.Fuzz(func(t *testing.T, regex, template, value string) {
		if len(regex) > 100 || len(template) > 100 || len(value) > 200 {
			return
		}
		start := time.Now()
		r, err := newRewrite(regex, template)
		if err != nil {
			return
		}
		got, known := r.apply(value)
		assert.LessOrEqual(t, len(got), MaxValueBytes)
		if known {
			at := r.re.FindStringSubmatchIndex(value)
			require.Equal(t, []int{0, len(value)}, at[:2])
		}
		if isASCII(template) && !strings.Contains(template, "$0") && !strings.Contains(template, "${0") && known {
			require.Equal(t, r.re.ReplaceAllString(value, template), got)
		}
		require.Less(t, time.Since(start), 5*time.Second)
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

func FuzzPath(f *testing.F) {
	f.Add("/users/{id}", "/users/1?x")
	f.Add("/a/{b...}", "/a/")
	f.Add("/{a}{", "//")
	f.Fuzz(func(t *testing.T, template, value string) {
		p, err := newPath(template)
		if err != nil {
			return
		}
		require.Equal(t, slowFits(template, pathOf(value)), p.fits(pathOf(value)), "%q %q", template, value)
	})
}

func FuzzNumbers(f *testing.F) {
	for _, text := range []string{"1", "-1e5", "1e999", "+Inf", "0x1", "e", "9223372036854775808"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := String(text).numeric()
		want, err := strconv.ParseFloat(text, 64)
		if ok && n.isInt {
			require.Equal(t, want, float64(n.i), text)
		} else if ok {
			require.Equal(t, want, n.f, text)
			require.False(t, math.IsNaN(n.f))
		}
		if err == nil && strings.Trim(text, "0123456789") == "" && len(text) <= MaxValueBytes {
			require.True(t, ok, text)
		}
	})
}

func BenchmarkApply(b *testing.B) {
	p := mustPlan(b, Settings{Maps: []ValueMap{
		{Attribute: Ref{OnPoint, "url"}, Paths: []string{"/health", "/users/{id}", "/files/{path...}"}, Other: "else"},
		{Attribute: Ref{OnPoint, "code"}, Ranges: []Range{{100, 200, "1xx"}, {200, 300, "2xx"}}},
		{Attribute: Ref{OnPoint, "db"}, Regex: `(\w+) .*`, Template: "$1"},
	}})
	for _, one := range []struct {
		key   string
		value Value
	}{{"url", String("/users/1234?x=y")}, {"code", Int(204)}, {"db", String("SELECT a FROM b WHERE c = 7")}} {
		b.Run(one.key, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sinkAction |= p.Apply(3, one.key, one.value, nil).Action
			}
		})
	}
}
