package ruleimport_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/ruleimport"
)

func TestRead(t *testing.T) {
	for _, name := range sources(t, "read") {
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(name)
			require.NoError(t, err)
			result := ruleimport.Read(source)
			requireGolden(t, name+".golden", report(result))
			assert.Equal(t, result.Errors > 0, result.Rules == nil)
		})
	}
}

func TestReadOfManyOverlaps(t *testing.T) {
	var rules []policy.Rule
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"} {
		rules = append(rules, policy.Rule{Name: name, Match: policy.Match{Metric: "*"}})
	}
	text, err := ruleimport.MarshalJSON(rules)
	require.NoError(t, err)
	result := ruleimport.Read(text)
	assert.Len(t, result.Messages, 101)
	assert.Equal(t, "warning: more rules overlap, or may, than are named here", result.Messages[0].String())
}

// The Collector itself reads what MarshalYAML writes, dollar signs included.
func TestTheCollectorReadsTheSameRules(t *testing.T) {
	rules := []policy.Rule{{
		Name:  "dollars",
		Match: policy.Match{Metric: "/a$/", Resource: []policy.Condition{{Attribute: "p$$", Value: "${x}"}, {Attribute: "q", Present: new(true)}}},
		Attributes: policy.Attributes{
			Keep: []string{},
			Map: []policy.ValueMap{
				{Attribute: "resource.x", Regex: "(?P<x>.*)$", Template: "$1 ${x} $$ $$${x}", Other: "yes"},
				{Attribute: "resource.x", Ranges: []policy.Range{{To: new(0.5), As: "1e3"}, {From: new(1e21), As: "null"}}},
				{Attribute: "resource.x", Paths: []string{"/a/{b}", "/{rest...}"}},
			},
		},
		Limit:   &policy.Limit{MaxSeries: 1 << 40, Fold: policy.Fold{"auto"}},
		Buckets: &policy.Buckets{KeepBounds: []float64{-1, 0, 0.1, 1e6, 1e22}},
	}}
	require.NoError(t, policy.ValidateRules(rules))
	requireStable(t, rules)

	text, err := ruleimport.MarshalYAML(rules)
	require.NoError(t, err)
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs:              []string{"yaml:" + string(text)},
		ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory()},
		DefaultScheme:     "yaml",
	})
	require.NoError(t, err)
	conf, err := resolver.Resolve(t.Context())
	require.NoError(t, err)
	var got struct {
		Rules []policy.Rule `mapstructure:"rules"`
	}
	require.NoError(t, conf.Unmarshal(&got))
	assert.Equal(t, rules, got.Rules)
	require.NoError(t, resolver.Shutdown(t.Context()))
}

func TestMarshalNothing(t *testing.T) {
	text, err := ruleimport.MarshalYAML(nil)
	require.NoError(t, err)
	assert.Equal(t, "rules: []\n", string(text))
}
