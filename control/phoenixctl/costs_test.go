package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const ourPrices = `name: ours
currency: EUR
effective: 2026-03-11
components:
  - {name: active series, kind: active_series, price: 6.50, per: 1000, included: 10000}
  - {name: platform, kind: fee, price: 19}
`

func TestCosts(t *testing.T) {
	r := newRig(t)
	r.consolidate()
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("ours.yaml", []byte(ourPrices), 0o600))
	require.NoError(t, os.WriteFile("bad.yaml", []byte("name: bad\ncurrency: EURO\ncomponents:\n  - name: a\n    kind: air\n    price: many\n---\nname: policy\nspec: {}\n"), 0o600))
	r.run("costs")
	r.run("costs", "labels", "--limit", "2")
	r.run("costs", "models", "list")
	r.run("costs", "models", "set", "-f", "bad.yaml")
	r.pipe("name: bad\ncurrency: EURO\ncomponents:\n  - name: a\n    kind: air\n    price: many\n", "costs", "models", "set", "-f", "-")
	r.run("costs", "models", "set", "-f", "ours.yaml")
	r.run("costs", "models", "set", "-f", "ours.yaml", "--use")
	r.run("costs", "models", "list")
	r.run("costs", "models", "list", "-o", "name")
	r.run("costs", "models", "get", "ours")
	r.run("costs", "models", "get", "theirs")
	r.run("costs")
	r.run("costs", "-o", "yaml")
	r.run("costs", "metrics", "--limit", "3")
	r.run("costs", "metrics", "*.calls")
	r.run("costs", "groups")
	r.run("costs", "labels")
	r.pipe(callsPolicy, append([]string{"policies", "apply", "-f", "-", "--preview"}, quickly...)...)
	r.run("savings")
	r.run("savings", "calls", "-o", "yaml")
	r.pipe(callsPolicy, "savings", "estimate", "-f", "-")
	r.run("costs", "models", "delete", "ours")
	r.run("costs", "models", "use", "alibaba-cloud-prometheus-by-volume")
	r.run("costs", "models", "delete", "ours")
	r.run("costs", "history")
	r.run("costs", "history", "colours")
	r.run("costs", "history", "--from", "yesterday")
	r.run("costs", "--point", "egress")
	r.run("costs", "metrcs")
	r.golden("costs.txt")
}

func TestTheExamplesAreAccepted(t *testing.T) {
	r := newRig(t)
	t.Chdir(filepath.Join("..", "..", "examples", "policies"))
	for _, file := range []string{"drop-pod.yaml", "drop-resource.yaml", "fewer-buckets.yaml", "bound-cardinality.yaml"} {
		r.run("policies", "apply", "--dry-run", "-f", file)
	}
	r.run("costs", "models", "set", "-f", "price-model.yaml", "--use")
	r.golden("examples.txt")
}
