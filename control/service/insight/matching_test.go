package insight

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func TestAbbreviateCutsBetweenCharacters(t *testing.T) {
	assert.Equal(t, "short", abbreviate("short"))
	assert.Equal(t, strings.Repeat("é", 50)+"...", abbreviate(strings.Repeat("é", 51)))
	assert.Equal(t, "a"+strings.Repeat("é", 49)+"...", abbreviate("a"+strings.Repeat("é", 51)))
}

func TestMatchGlob(t *testing.T) {
	f := func(pattern, name string, want bool) {
		t.Helper()
		assert.Equal(t, want, matchGlob(pattern, name), "%q against %q", pattern, name)
	}
	f("*", "", true)
	f("*", "a/b.c", true)
	f("http.*", "http.server", true)
	f("http.*", "https", false)
	f("*.duration", "a.duration.duration", true)
	f("a*b*c", "a-b-b-c", true)
	f("a*b*c", "a-c-b", false)
	f("?", "é", true)
	f("?", "", false)
	f("??", "é", false)
	f("[a]", "[a]", true) // brackets mean themselves
	f("?", "\xff", true)
	f("*a", strings.Repeat("b", 1_000), false)
}

func TestMatchGlobAgreesWithRegularExpressions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[abé*?\[]{0,8}`).Draw(t, "pattern")
		name := rapid.StringMatching(`[abé\[]{0,10}`).Draw(t, "name")
		expr := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
		want := regexp.MustCompile("^(" + expr + ")$").MatchString(name)
		if got := matchGlob(pattern, name); got != want {
			t.Fatalf("matchGlob(%q, %q) = %v", pattern, name, got)
		}
	})
}

func TestNearest(t *testing.T) {
	known := []metricName{
		{"http.server.request.duration", "http_server_request_duration_seconds"},
		{"http.server.active_requests", "http_server_active_requests"},
		{"http.client.request.duration", "http_client_request_duration_seconds"},
		{"up", "up"},
		{"", ""},
	}
	f := func(metric string, want ...string) {
		t.Helper()
		assert.Equal(t, want, nearest(metric, known))
	}
	f("http_server_request_duration_seconds_count", "http.server.request.duration")
	f("HTTP.server.active_requests", "http.server.active_requests")
	f("http.server.nothing", "http.server.active_requests", "http.server.request.duration")
	f("http.serve.request.duration", "http.server.request.duration")
	f("http", "http.client.request.duration", "http.server.active_requests", "http.server.request.duration")
	f("pu")
	f("zzz")
}

func TestEditsWithin(t *testing.T) {
	f := func(a, b string, want bool) {
		t.Helper()
		assert.Equal(t, want, editsWithin(a, b, 2), "%q, %q", a, b)
		assert.Equal(t, want, editsWithin(b, a, 2), "%q, %q", b, a)
	}
	f("duration", "duration", true)
	f("duration", "duratoin", true) // two replacements
	f("duration", "durations", true)
	f("duration", "dration", true)
	f("duration", "durnoita", false)
	f("duration", "duration.max", false)
	f("up", "us", false) // too short to tell
}
