package publish_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var entry = store.Entry{Principal: "test", Action: "test"}

// openStore opens a store in a file, which may be there.
func openStore(tb testing.TB, path string) store.Store {
	tb.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Settings{Path: path})
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func newStore(tb testing.TB) store.Store {
	tb.Helper()
	return openStore(tb, filepath.Join(tb.TempDir(), "phoenix.db"))
}

// write changes the store.
func write(tb testing.TB, s store.Store, change func(context.Context, store.Tx) error) {
	tb.Helper()
	require.NoError(tb, s.Write(tb.Context(), change))
}

// put creates a policy, or changes its specification and its state.
func put(tb testing.TB, s store.Store, namespace, name string, state store.PolicyState, spec publish.Spec) (p store.Policy) {
	tb.Helper()
	text, err := publish.EncodeSpec(spec)
	require.NoError(tb, err)
	return putText(tb, s, namespace, name, state, text)
}

func putText(tb testing.TB, s store.Store, namespace, name string, state store.PolicyState, text []byte) (p store.Policy) {
	tb.Helper()
	k := store.PolicyKey{Namespace: namespace, Name: name}
	write(tb, s, func(ctx context.Context, tx store.Tx) (err error) {
		if _, missing := tx.GetPolicy(ctx, k); missing != nil {
			p, err = tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: k, Spec: text, State: state}, entry)
			return err
		}
		p, err = tx.UpdatePolicy(ctx, store.PolicyUpdate{PolicyKey: k, If: store.Any, Spec: text, State: state}, entry)
		return err
	})
	return p
}

// spec returns a specification with a rule for each metric.
func spec(priority int, metrics ...string) publish.Spec {
	s := publish.Spec{Priority: priority}
	for _, m := range metrics {
		s.Rules = append(s.Rules, policy.Rule{
			Match: policy.Match{Metric: m}, Attributes: policy.Attributes{Drop: []string{"pod"}},
		})
	}
	return s
}

// names lists the rules of a snapshot, those in preview with a question mark.
func names(s *policy.Snapshot) []string {
	list := []string{}
	for _, r := range s.Rules {
		name := r.Name
		if r.Mode == policy.ModePreview {
			name += "?"
		}
		list = append(list, name)
	}
	return list
}

// run runs a publisher until the test ends.
func run(tb testing.TB, p *publish.Publisher) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	tb.Cleanup(stop)
	return stop
}

// within waits for a condition and returns how long that took. A second is what
// is promised.
func within(tb testing.TB, limit time.Duration, what string, condition func() bool) time.Duration {
	tb.Helper()
	began := time.Now()
	require.Eventually(tb, condition, limit, 2*time.Millisecond, what)
	return time.Since(began)
}

// fill puts many policies in force, every tenth enforced, each with a rule of the
// usual size.
func fill(tb testing.TB, s store.Store, n int) {
	tb.Helper()
	write(tb, s, func(ctx context.Context, tx store.Tx) error {
		for i := range n {
			state := store.StatePreview
			if i%10 == 0 {
				state = store.StateEnforced
			}
			text, err := publish.EncodeSpec(bigSpec(i))
			if err != nil {
				return err
			}
			k := store.PolicyKey{Namespace: fmt.Sprintf("team-%d", i%50), Name: fmt.Sprintf("policy-%d", i)}
			if _, err := tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: k, Spec: text, State: state}, entry); err != nil {
				return err
			}
		}
		return nil
	})
}

func bigSpec(i int) publish.Spec {
	return publish.Spec{
		Description: "Nobody looks at single pods of this service; the dashboards sum over them.",
		Priority:    i % 7,
		Rules: []policy.Rule{{
			Name: "drop-pod",
			Match: policy.Match{
				Metric: fmt.Sprintf("http.server.request.duration.%d", i), Types: []policy.MetricType{policy.TypeHistogram},
				Resource: []policy.Condition{{Attribute: "service.name", Value: fmt.Sprintf("service-%d-*", i)}},
			},
			Attributes: policy.Attributes{Drop: []string{"pod", "resource.k8s.pod.name", "resource.k8s.pod.uid"}},
		}},
	}
}

func openRapid(t require.TestingT, dir string) store.Store {
	s, err := sqlite.Open(context.Background(), sqlite.Settings{Path: filepath.Join(dir, "phoenix.db")})
	require.NoError(t, err)
	return s
}
