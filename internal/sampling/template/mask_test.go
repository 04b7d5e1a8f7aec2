package template_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/phoenix-platform/phoenix/internal/sampling/template"
)

func TestMask(t *testing.T) {
	for _, c := range []struct{ message, want string }{
		{"", ""},
		{"  \t\n ", ""},
		{"server is ready", "server is ready"},
		{"connected to 10.0.0.7:5432 in 3ms", "connected to <*> in <*>"},
		{"connected to [fe80::dead:beef%eth0]:5432", "connected to [<*>]:<*>"},
		{"2026-11-24T04:10:14.123Z started", "<*> started"},
		{"I1124 04:10:14.123456    1234 main.go:42] \"Starting controller\" controller=\"jobs\"", `<*> main.go:<*>] "Starting controller" controller=<*>`},
		{"request 123e4567-e89b-12d3-a456-426614174000 failed", "request <*> failed"},
		{"commit deadbeefcafe was added", "commit <*> was added"},
		{"GET /api/v1/users/5?x=1 took 5.", "GET <*>?x=<*> took <*>."},
		{"read and/or write of application/json by alice@example.com", "read and/or write of application/json by <*>"},
		{`open "/tmp/x y": no such file`, "open <*>: no such file"},
		{`relation 'users' does not exist, it's gone, can't help`, "relation <*> does not exist, it's gone, can't help"},
		{`user "alice" said "it is \"fine\""`, "user <*> said <*>"},
		{"sizes: 1, 2, 3 and 4", "sizes: <*> and <*>"},
		{"sizes: 1 and 4", "sizes: <*> and <*>"},
		{`ts=2026-11-24T04:10:14Z level=info msg="got 5 things" user=alice ok= n=5`, `ts=<*> level=<*> msg="got <*> things" user=<*> ok=<*> n=<*>`},
		{`ts=2026-11-24T04:10:14Z level=info msg="got 6 things" user= ok=yes n=5`, `ts=<*> level=<*> msg="got <*> things" user=<*> ok=<*> n=<*>`},
		{`level=info msg=ready err="dial tcp 10.0.0.1:80: connection refused"`, `level=<*> msg=ready err="dial tcp <*>: connection refused"`},
		{`req={Name:foo Tags:[a b] Size:5} done`, `req=<*> done`},
		{`if a == b then stop`, `if a == b then stop`},
		{`{"ts":1732421414.5,"level":"info","msg":"started 5 workers","user":"alice","ok":true,"tags":["a","b"],"peer":{"host":"x","port":5}}`, `{"ts":<*>,"level":<*>,"msg":"started <*> workers","user":<*>,"ok":<*>,"tags":[<*>],"peer":{"host":<*>,"port":<*>}}`},
		{`{"ts":1732421414.6,"level":"info","msg":"started 7 workers","user":"bob","ok":false,"tags":["c"],"peer":{"host":"y","port":6}}`, `{"ts":<*>,"level":<*>,"msg":"started <*> workers","user":<*>,"ok":<*>,"tags":[<*>],"peer":{"host":<*>,"port":<*>}}`},
		{`level=info msg="user \"alice\" is \"new\" here" n=1`, `level=<*> msg="user <*> is \<*> here" n=<*>`},
		{"Sun Dec 04 04:47:44 2005: invalid user admin from www.example.com port 22", "<*>: invalid user <*> from <*> port <*>"},
		{"java.net.SocketException at com.example.Main, user: root", "java.net.SocketException at com.example.Main, user: root"},
		{`an "open quote`, `an "open quote`},
		{"C:\\Windows\\x not found", "C:<*> not found"},
		{"Fehler: Datei größer", "Fehler: Datei größer"},
		{"waiting...", "waiting."},
	} {
		assert.Equal(t, c.want, string(template.Append(nil, c.message)), c.message)
	}
}
