package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZg==" // 0123456789abcdef

// delivery is a request that came.
type delivery struct {
	id, body string
	at       time.Time
}

// receiver checks the signatures of what it gets, and answers by a plan: one
// status after the other, then 204.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	got  []delivery
	plan []int
	wait string // Retry-After
}

func newReceiver(t *testing.T, plan ...int) *receiver {
	t.Helper()
	r := &receiver{plan: plan}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		assert.NoError(t, err)
		mac := hmac.New(sha256.New, []byte("0123456789abcdef"))
		mac.Write([]byte(req.Header.Get("webhook-id") + "." + req.Header.Get("webhook-timestamp") + "." + string(body)))
		assert.Equal(t, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)), req.Header.Get("webhook-signature"))
		seconds, err := strconv.ParseInt(req.Header.Get("webhook-timestamp"), 10, 64)
		assert.NoError(t, err)
		assert.WithinDuration(t, time.Now(), time.Unix(seconds, 0), time.Minute)
		assert.Equal(t, "application/json", req.Header.Get("Content-Type"))
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, delivery{req.Header.Get("webhook-id"), string(body), time.Now()})
		status := http.StatusNoContent
		if len(r.plan) > 0 {
			status, r.plan = r.plan[0], r.plan[1:]
		}
		if r.wait != "" {
			w.Header().Set("Retry-After", r.wait)
		}
		if status == http.StatusTemporaryRedirect {
			w.Header().Set("Location", r.URL+"/elsewhere")
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) deliveries() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]delivery(nil), r.got...)
}

// running is a sender that runs, and what became of its events.
type running struct {
	*webhook.Sender
	mu       sync.Mutex
	outcomes []string
}

func run(t *testing.T, s webhook.Settings) *running {
	t.Helper()
	r := &running{}
	s.Done = func(outcome string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.outcomes = append(r.outcomes, outcome)
	}
	client := &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	s.Client = client
	var err error
	r.Sender, err = webhook.New(s)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		client.CloseIdleConnections()
	})
	return r
}

func (r *running) await(t *testing.T, want ...string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		r.mu.Lock()
		defer r.mu.Unlock()
		assert.Equal(c, want, r.outcomes)
	}, 20*time.Second, 5*time.Millisecond)
}

func event(id uint64, kind string) bus.Event {
	return bus.Event{
		ID: id, Time: time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC), Type: kind, Namespace: "shop", Resource: "experiments/shop/a",
		Message: "it is rolled back", Detail: map[string]string{"to": "RolledBack"},
	}
}

func TestEventsComeSignedAndInOrder(t *testing.T) {
	all, some := newReceiver(t), newReceiver(t)
	r := run(t, webhook.Settings{Hooks: []webhook.Hook{
		{URL: all.URL, Secret: secret},
		{URL: some.URL, Secret: "0123456789abcdef", Events: []string{"policy.enforced"}},
	}})
	r.Send(event(1, "experiment.phase"))
	r.Send(event(2, "policy.enforced"))
	r.Send(event(3, "experiment.weight"))
	r.await(t, webhook.OutcomeDelivered, webhook.OutcomeDelivered, webhook.OutcomeDelivered)
	got := all.deliveries()
	require.Len(t, got, 2)
	assert.Equal(t, "evt_1", got[0].id)
	assert.JSONEq(t, `{"id":"evt_1","type":"experiment.phase","timestamp":"2026-11-24T01:02:03Z","data":{"namespace":"shop",
		"resource":"experiments/shop/a","message":"it is rolled back","to":"RolledBack"}}`, got[0].body)
	assert.Equal(t, "evt_3", got[1].id)
	require.Len(t, some.deliveries(), 1)
	assert.Equal(t, "evt_2", some.deliveries()[0].id)
}

func TestWhatMayHelpIsTriedAgain(t *testing.T) {
	hook := newReceiver(t, http.StatusInternalServerError, http.StatusBadGateway)
	r := run(t, webhook.Settings{Hooks: []webhook.Hook{{URL: hook.URL, Secret: secret}}})
	r.Send(event(1, "experiment.phase"))
	r.await(t, webhook.OutcomeDelivered)
	got := hook.deliveries()
	require.Len(t, got, 3)
	for _, d := range got {
		assert.Equal(t, got[0].id, d.id, "a receiver can tell a repetition")
		assert.Equal(t, got[0].body, d.body)
	}
}

func TestTheReceiverSaysWhen(t *testing.T) {
	hook := newReceiver(t, http.StatusTooManyRequests)
	hook.wait = "2"
	r := run(t, webhook.Settings{Hooks: []webhook.Hook{{URL: hook.URL, Secret: secret}}})
	r.Send(event(1, "experiment.phase"))
	r.await(t, webhook.OutcomeDelivered)
	got := hook.deliveries()
	require.Len(t, got, 2)
	assert.GreaterOrEqual(t, got[1].at.Sub(got[0].at), 2*time.Second)
}

func TestARefusalIsTheLastWord(t *testing.T) {
	for _, status := range []int{http.StatusGone, http.StatusBadRequest, http.StatusTemporaryRedirect} {
		logs, seen := observer.New(zap.WarnLevel)
		hook := newReceiver(t, status)
		r := run(t, webhook.Settings{Hooks: []webhook.Hook{{URL: hook.URL + "/T0K3N", Secret: secret}}, Logger: zap.New(logs)})
		r.Send(event(1, "experiment.phase"))
		r.await(t, webhook.OutcomeRefused)
		require.Len(t, hook.deliveries(), 1)
		require.Equal(t, 1, seen.Len())
		line := seen.All()[0]
		assert.Contains(t, line.ContextMap()["error"], strconv.Itoa(status))
		for _, field := range line.Context {
			assert.NotContains(t, field.String, "T0K3N")
		}
	}
}

func TestWhatCannotBeSentIsGivenUp(t *testing.T) {
	logs, seen := observer.New(zap.WarnLevel)
	r := run(t, webhook.Settings{
		Hooks: []webhook.Hook{{URL: "http://127.0.0.1:1/T0K3N", Secret: secret}}, GiveUp: time.Millisecond, Logger: zap.New(logs),
	})
	r.Send(event(1, "experiment.phase"))
	r.await(t, webhook.OutcomeGivenUp)
	assert.NotContains(t, seen.All()[0].ContextMap()["error"], "T0K3N")
}

func TestSendDoesNotWait(t *testing.T) {
	free := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-free }))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(free) })
	r := run(t, webhook.Settings{Hooks: []webhook.Hook{{URL: slow.URL, Secret: secret}}, MaxQueue: 2})
	began := time.Now()
	for i := range uint64(10) {
		r.Send(event(i, "experiment.phase"))
	}
	assert.Less(t, time.Since(began), time.Second)
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.GreaterOrEqual(t, len(r.outcomes), 7) // one is being sent, or still waits, and two wait
	assert.Equal(t, webhook.OutcomeOverflow, r.outcomes[0])
}

func TestMistakesAreNamedAllAtOnce(t *testing.T) {
	_, err := webhook.New(webhook.Settings{Hooks: []webhook.Hook{
		{URL: "ftp://x", Secret: "short", Events: []string{"["}},
		{URL: "https://a:b@x", Secret: "whsec_!"},
	}})
	require.EqualError(t, err, `webhooks[0]: url: must be http:// or https:// and a host, got "ftp://x"
secret: must have at least 16 bytes, got 5
events[0]: must be a type such as experiment.phase or a pattern such as experiment.*, got "["
webhooks[1]: url: must hold no password: use headers
secret: must be base64 behind whsec_`)
}
