package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// load asks the API. Policies are named policy-0000 and so on.
type load struct {
	base     string
	policies int
	metrics  int
	client   *http.Client

	mu   sync.Mutex
	took map[string][]time.Duration // by kind of request
	errs []error
}

func newLoad(address string, policies, metrics int) *load {
	return &load{
		base: "http://" + address + "/api/v1", policies: policies, metrics: metrics,
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		took:   map[string][]time.Duration{},
	}
}

func policyName(i int) string { return fmt.Sprintf("policy-%04d", i) }

func spec(i, priority int) map[string]any {
	return map[string]any{
		"description": fmt.Sprintf("No pods in %s.", metricName(i)),
		"priority":    priority,
		"rules": []any{map[string]any{
			"match": map[string]any{"metric": metricName(i)}, "attributes": map[string]any{"drop": []string{"pod"}},
		}},
	}
}

// ask sends a request and reads the whole answer. One that is not 2xx is an error.
func (l *load) ask(ctx context.Context, method, path string, body any) error {
	var content io.Reader = http.NoBody
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, l.base+path, content)
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := l.client.Do(request)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, response.Status, text)
	}
	return nil
}

// seed creates the policies: a fifth enforced, a fifth in preview, the rest drafts.
func (l *load) seed(ctx context.Context) error {
	work := make(chan int)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for i := range work {
				if err := l.create(ctx, i); err != nil {
					l.failed(err)
				}
			}
		})
	}
	for i := range l.policies {
		work <- i
	}
	close(work)
	workers.Wait()
	return errors.Join(l.errs...)
}

func (l *load) create(ctx context.Context, i int) error {
	policy := map[string]any{"namespace": "default", "name": policyName(i), "spec": spec(i, 0)}
	path := "/policies"
	if i%5 == 0 {
		path += "?preview=true"
	}
	if err := l.ask(ctx, http.MethodPost, path, policy); err != nil {
		return err
	}
	if i%5 == 1 {
		return l.ask(ctx, http.MethodPost, "/policies/default/"+policyName(i)+":enforce", map[string]any{"force": true})
	}
	return nil
}

func (l *load) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errs) < 10 {
		l.errs = append(l.errs, err)
	}
}

// request is one kind of request, and its share in a hundred.
type request struct {
	kind  string
	share int
	send  func(*load, context.Context, *rand.Rand) error
}

var mix = []request{
	{"get policy", 35, func(l *load, ctx context.Context, r *rand.Rand) error {
		return l.ask(ctx, http.MethodGet, "/policies/default/"+policyName(r.IntN(l.policies)), nil)
	}},
	{"list policies", 35, func(l *load, ctx context.Context, r *rand.Rand) error {
		filter := []string{`state = "enforced"`, `state = "draft"`, fmt.Sprintf(`name = "policy-%02d*"`, r.IntN(l.policies/100)), ""}[r.IntN(4)]
		return l.ask(ctx, http.MethodGet, "/policies?page_size=50&filter="+url.QueryEscape(filter), nil)
	}},
	{"list cardinality", 7, func(l *load, ctx context.Context, r *rand.Rand) error {
		query := []string{"?limit=50", "?sort=saving&limit=20", "?metric=service_07*", "?sort=name&limit=100"}[r.IntN(4)]
		return l.ask(ctx, http.MethodGet, "/cardinality"+query, nil)
	}},
	{"get cardinality", 5, func(l *load, ctx context.Context, r *rand.Rand) error {
		return l.ask(ctx, http.MethodGet, "/cardinality/"+metricName(r.IntN(l.metrics)), nil)
	}},
	{"costs", 4, func(l *load, ctx context.Context, _ *rand.Rand) error {
		return l.ask(ctx, http.MethodGet, "/costs", nil)
	}},
	{"costs by dimension", 4, func(l *load, ctx context.Context, r *rand.Rand) error {
		return l.ask(ctx, http.MethodGet, "/costs/"+[]string{"metrics", "labels"}[r.IntN(2)], nil)
	}},
	{"update policy", 6, func(l *load, ctx context.Context, r *rand.Rand) error {
		i := r.IntN(l.policies/5)*5 + 2 // a draft
		return l.ask(ctx, http.MethodPut, "/policies/default/"+policyName(i), map[string]any{"spec": spec(i, r.IntN(1000))})
	}},
	{"preview, disable", 4, func(l *load, ctx context.Context, r *rand.Rand) error {
		verb := []string{":preview", ":disable"}[r.IntN(2)]
		return l.ask(ctx, http.MethodPost, "/policies/default/"+policyName(r.IntN(l.policies/5)*5)+verb, map[string]any{})
	}},
}

// run asks at a rate for a time. What comes late is late from its time on.
func (l *load) run(ctx context.Context, rate int, length time.Duration) error {
	l.took, l.errs = map[string][]time.Duration{}, nil
	random := rand.New(rand.NewPCG(1, 2))
	var flying sync.WaitGroup
	begin := time.Now()
	for i := range int(length.Seconds() * float64(rate)) {
		due := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		kind, own := pick(random), rand.New(rand.NewPCG(uint64(i), 3))
		flying.Go(func() {
			if err := kind.send(l, ctx, own); err != nil {
				l.failed(fmt.Errorf("%s: %w", kind.kind, err))
			}
			took := time.Since(due)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.took[kind.kind] = append(l.took[kind.kind], took)
		})
	}
	flying.Wait()
	return errors.Join(l.errs...)
}

func pick(r *rand.Rand) request {
	at := r.IntN(100)
	for _, m := range mix {
		if at -= m.share; at < 0 {
			return m
		}
	}
	return mix[0]
}

// print writes a row for each kind, and one for all.
func (l *load) print(w io.Writer, title string) {
	fmt.Fprintf(w, "\n%s\n%-20s %8s %10s %10s %10s %10s\n", title, "request", "n", "p50 ms", "p95 ms", "p99 ms", "max ms")
	var all []time.Duration
	for _, m := range mix {
		all = append(all, l.took[m.kind]...)
		row(w, m.kind, l.took[m.kind])
	}
	row(w, "all", all)
}

func row(w io.Writer, name string, took []time.Duration) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	at := func(share float64) float64 {
		return float64(took[min(int(share*float64(len(took))), len(took)-1)].Microseconds()) / 1000
	}
	fmt.Fprintf(w, "%-20s %8d %10.1f %10.1f %10.1f %10.1f\n", name, len(took), at(0.5), at(0.95), at(0.99), at(1))
}
