package template_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/phoenix-platform/phoenix/internal/sampling/template"
)

// record is one whose body is made from a Go value.
func record(tb testing.TB, body any) plog.LogRecord {
	tb.Helper()
	r := plog.NewLogRecord()
	require.NoError(tb, r.Body().FromRaw(body))
	return r
}

func TestRecord(t *testing.T) {
	for _, c := range []struct {
		name string
		body any
		want string
	}{
		{"text", "took 5ms", "took <*>"},
		{"no text", "", "(empty)"},
		{"blanks", " \n\t", "(empty)"},
		{"nothing", nil, "(empty)"},
		{"a number", 5, "<*>"},
		{"a fraction", 0.5, "<*>"},
		{"a boolean", true, "<*>"},
		{"bytes", []byte("took 5ms"), "(bytes)"},
		{"a list", []any{"took 5ms"}, "(list)"},
		{"a map with a message", map[string]any{"message": "took 5ms", "user": "alice"}, "took <*>"},
		{"a map with msg", map[string]any{"msg": "took 5ms", "user": "alice"}, "took <*>"},
		{"a map with body", map[string]any{"body": "took 5ms", "user": "alice"}, "took <*>"},
		{"a map of which the message is no text", map[string]any{"message": 5, "user": "alice"}, "{message,user}"},
		{"a map without", map[string]any{"user": "alice", "id": 7, "age": 3}, "{age,id,user}"},
		{"an empty map", map[string]any{}, "{}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r template.Reader
			id := r.Record(record(t, c.body))
			assert.Equal(t, c.want, r.Text())
			assert.Equal(t, id, r.Record(record(t, c.body)), "the same record")
		})
	}
}

func TestAnEventNameIsATemplateOfItsOwn(t *testing.T) {
	var r template.Reader
	one := record(t, "took 5ms")
	one.SetEventName("session.start")
	id := r.Record(one)
	assert.Equal(t, "event session.start", r.Text())
	other := record(t, "anything else")
	other.SetEventName("session.start")
	assert.Equal(t, id, r.Record(other))
	other.SetEventName("session.end")
	assert.NotEqual(t, id, r.Record(other))
}

func TestTheOrderOfKeysMeansNothing(t *testing.T) {
	one, other := plog.NewLogRecord(), plog.NewLogRecord()
	a, b := one.Body().SetEmptyMap(), other.Body().SetEmptyMap()
	for i := range 20 {
		a.PutInt(fmt.Sprintf("key-%d", i), int64(i))
		b.PutInt(fmt.Sprintf("key-%d", 19-i), 0)
	}
	var r template.Reader
	assert.Equal(t, r.Record(one), r.Record(other))
}

func TestTextIsValidAndBounded(t *testing.T) {
	var r template.Reader
	long := strings.Repeat("größer ", 500)
	for _, body := range []string{"\xff\xfe broken", long} {
		one := plog.NewLogRecord()
		one.Body().SetStr(body)
		r.Record(one)
		assert.LessOrEqual(t, len(r.Text()), 256+3)
		assert.NotContains(t, r.Text(), "\xff")
	}
}

// A record stays of its template whatever stands in it for a value.
func TestValuesDoNotMatter(t *testing.T) {
	shapes := []string{
		"connected to %s in 3ms", "path=%s done", `{"msg":"started","peer":"%s"}`, `file %s, "%[1]s", '%[1]s'`,
		`level=info msg="user %s is back"`, "GET /api/%s/items",
	}
	values := []string{
		"7", "-1.5e3", "0x7f", "3ms", "10.0.0.1", "10.0.0.1:80", "2026-11-24", "04:10:14.123", "2026-11-24T04:10:14Z",
		"123e4567-e89b-12d3-a456-426614174000", "1,2,3", "v1.2.3",
	}
	for _, shape := range shapes {
		want := string(template.Append(nil, fmt.Sprintf(shape, "42")))
		for _, v := range values {
			assert.Equal(t, want, string(template.Append(nil, fmt.Sprintf(shape, v))), v)
		}
	}
}
