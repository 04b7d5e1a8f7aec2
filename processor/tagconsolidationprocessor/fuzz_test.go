package tagconsolidationprocessor

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// FuzzConsumeMetrics decodes arbitrary bytes and sends them several times, by
// the bits of how under one of the configurations, with a restart in between,
// with stale inputs. Whatever comes: no panic, every point is accounted for,
// what is emitted no database refuses, and all is forgotten in the end.
func FuzzConsumeMetrics(f *testing.F) {
	var marshaler pmetric.ProtoMarshaler
	for _, md := range hostileBatches() {
		raw, err := marshaler.MarshalMetrics(md)
		require.NoError(f, err)
		if len(raw) < 10_000 {
			for how := range uint8(len(hostileRules)) {
				f.Add(raw, how|how<<4)
			}
		}
	}
	f.Add([]byte("\x0a\x05\x12\x03\x12\x01\x0a"), uint8(0))
	telemetry := hostileTelemetry{componenttest.NewTelemetry()}
	f.Cleanup(func() { require.NoError(f, telemetry.Shutdown(context.Background())) })
	f.Fuzz(func(t *testing.T, raw []byte, how uint8) {
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(raw)
		if err != nil || md.DataPointCount() > 1000 {
			return
		}
		x := newCell(t, hostileRules[int(how)%len(hostileRules)], telemetry, how&0x10 != 0)
		x.play(md)
		if how&0x20 != 0 { // all inputs go stale and come back
			x.now = x.now.Add(time.Minute)
			x.turn()
			x.play(md)
		}
		x.release()
	})
}

// FuzzRules reads arbitrary YAML as the Collector reads a configuration. What is
// found valid must compile, as a static rule and as one that control sends, and
// run.
func FuzzRules(f *testing.F) {
	for _, path := range []string{"every-option.yaml", "mistakes.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "control", "policy", "testdata", path))
		require.NoError(f, err)
		f.Add(string(text))
	}
	for _, text := range append(slices.Clone(hostileRules), benchRules, dropPod, stored,
		"writer: none\nrole: candidate\nrules:\n  - {name: a, match: {metric: b}, role: candidate, experiment: {id: e, scope: {service.name: x}}}",
		"rules: [{name: a, match: {metric: '/(/'}}, {name: a, match: {metric: ''}, attributes: {drop: ['*'], keep: [x]}}]",
		"never_touch: {attributes: ['resource.*', '/x/']}\nstaleness: -1s\nheartbeat: 1ns\ninterval: 1h\nmax_streams: 0",
	) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 20_000 {
			return
		}
		cfg, err := loadConfig(t, text)
		if err != nil {
			return
		}
		cfg.Storage, cfg.Control = nil, nil // there are none to be found
		cfg.Interval, cfg.Staleness = max(cfg.Interval, time.Second), max(cfg.Staleness, time.Second)
		r := newRigOf(t, cfg, componenttest.NewNopHost(), epoch)
		play := func() {
			for _, name := range []string{"gauge-nan", "integers", "bucketscumulative", "exponential", "stale", "attributes"} {
				r.send(hostileBatches()[name])
			}
			r.turn()
		}
		play()
		if snapshot, err := policy.NewSnapshot(1, asHot(cfg.Rules, cfg.Role)); err == nil {
			cfg.Rules = nil
			require.NoError(t, r.c.Apply(snapshot))
			play()
		}
		r.end()
		r.c.telemetry.Shutdown()
	})
}

// asHot are rules as control sends them to processors of a role.
func asHot(rules []policy.Rule, role policy.Role) []policy.Rule {
	list := slices.Clone(rules)
	for i := range list {
		list[i].Role = role
	}
	return list
}
