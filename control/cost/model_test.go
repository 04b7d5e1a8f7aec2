package cost

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func readYAML(tb testing.TB, name string) Model {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(tb, err)
	var m Model
	d := yaml.NewDecoder(strings.NewReader(string(data)))
	d.KnownFields(true)
	require.NoError(tb, d.Decode(&m))
	return m
}

func TestYAMLAndJSONSayTheSame(t *testing.T) {
	m := readYAML(t, "every-option.yaml")
	require.NoError(t, m.Validate())
	data, err := json.Marshal(m)
	require.NoError(t, err)
	decoded, err := DecodeModel(data)
	require.NoError(t, err)
	assert.Equal(t, m, decoded)

	text, err := yaml.Marshal(m)
	require.NoError(t, err)
	var again Model
	require.NoError(t, yaml.Unmarshal(text, &again))
	assert.Equal(t, m, again)
	assert.Equal(t, Money(6_500_000), m.Components[1].Tiers[0].Price, "a YAML number is read exactly")
}

func TestValidateReportsEverythingAtOnce(t *testing.T) {
	err := readYAML(t, "mistakes.yaml").Validate()
	want, readErr := os.ReadFile(filepath.Join("testdata", "mistakes.txt"))
	require.NoError(t, readErr)
	require.Error(t, err)
	assert.Equal(t, strings.TrimSpace(string(want)), err.Error())
	var list Errors
	require.ErrorAs(t, err, &list)
	assert.Equal(t, "name", list[0].Path)
}

func TestValidateBoundsLists(t *testing.T) {
	m := Custom()
	m.Components = make([]Component, maxComponents+1)
	require.EqualError(t, m.Validate(), "components: must have between 1 and 100 entries, got 101")
	m = Custom()
	m.Components[0] = Component{Name: "s", Kind: KindSamples, Tiers: make([]Tier, maxTiers+1)}
	require.EqualError(t, m.Validate(), "components[0].tiers: must not have more than 100 entries, got 101")
	m = Custom()
	m.Name, m.Note = strings.Repeat("n", 129), "\xff"
	require.EqualError(t, m.Validate(), "name: must not be longer than 128 bytes, got 129\nnote: must be valid UTF-8")
}

func TestDecodeModelRefuses(t *testing.T) {
	f := func(data, want string) {
		t.Helper()
		_, err := DecodeModel([]byte(data))
		require.ErrorContains(t, err, want)
	}
	f(``, "EOF")
	f(`{"nome": "x"}`, `unknown field "nome"`)
	f(`{"name": 1}`, "name")
	f(`{} {}`, "something follows")
	f(`{"components": [{"price": 1e3}]}`, `"1e3" must be a decimal number`)
	f(`{"name": "x"}`, "currency: must be a code")
	f(strings.Repeat(" ", maxModelBytes+1), "must not be longer than 1048576 bytes")
	_, err := DecodeModel([]byte(`{}`))
	assert.ErrorAs(t, err, new(Errors))
}

func TestDefaults(t *testing.T) {
	m := Custom()
	m.Components = append(m.Components, Component{Name: "t", Kind: KindSamples, Tiers: []Tier{{Price: 1}}})
	d := m.WithDefaults()
	assert.Equal(t, uint64(730), d.HoursAMonth)
	assert.Equal(t, uint64(1), d.Components[1].Per)
	assert.Equal(t, TiersGraduated, d.Components[1].TierMode)
	assert.Zero(t, m.Components[1].Per, "the model itself is as it was")
}

func TestCustomIsValidAndHasNoPrice(t *testing.T) {
	require.NoError(t, Custom().Validate())
	assert.False(t, Custom().Priced())
	assert.True(t, readYAML(t, "every-option.yaml").Priced())
	assert.True(t, Model{Components: []Component{{Price: new(Money(1))}}}.Priced())
}

func TestPresetsSayWhereTheyAreFrom(t *testing.T) {
	presets, err := Presets()
	require.NoError(t, err)
	require.NotEmpty(t, presets)
	for _, m := range presets {
		require.NoError(t, m.Validate(), m.Name)
		assert.True(t, m.Priced(), m.Name)
		_, err := time.Parse(time.DateOnly, m.Effective)
		require.NoError(t, err, m.Name)
		assert.NotEmpty(t, m.Source.Name, m.Name)
		assert.True(t, strings.HasPrefix(m.Source.URL, "https://"), m.Name)
		assert.Contains(t, m.Note, "List price as of the day above; edit yours.", m.Name)
	}
}

// The vendor's own example: 1,000 series every 15 s. It rounds 2.7466 GB a day to
// 2.7, where the page arrives at 2.697.
func TestPresetComputesTheVendorsExample(t *testing.T) {
	presets, err := Presets()
	require.NoError(t, err)
	b := presets[0].Price(Usage{Items: []Item{{Key: Key{Metric: "m"}, Type: typeGauge, Series: 1000, SamplesPerSecond: 1000.0 / 15}}})
	// 1000 × 5760 × 30 × 512 B = 82.397 GiB, of which 50 are free; × 0.087
	assert.Equal(t, uint64(88_473_600_000), b.Lines[0].Quantity)
	assert.Equal(t, "2.818579", b.Month.String())
}

func FuzzDecodeModel(f *testing.F) {
	preset, err := json.Marshal(readYAML(f, "every-option.yaml"))
	require.NoError(f, err)
	f.Add(preset)
	f.Add(presetsJSON)
	f.Add([]byte(`{"name":"x","currency":"EUR","components":[{"name":"a","kind":"samples","price":0.000001}]}`))
	f.Add([]byte(`{"name":"x","currency":"EUR","components":[{"name":"a","kind":"custom_metrics","tiers":[{"up_to":1,"price":"1"},{"price":2}],"tier_mode":"volume"}]}`))
	usage := Usage{Hosts: 1 << 40, Items: []Item{
		{Key: Key{Metric: "a"}, Type: typeHistogram, Series: 1 << 62, StandardError: 1e15, SamplesPerSecond: 1e18},
		{Key: Key{Metric: "b"}, Type: typeGauge, Series: 5, SamplesPerSecond: 0.1},
	}}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeModel(data)
		if err != nil {
			return
		}
		// A valid model survives its own text, and prices anything.
		again, err := json.Marshal(m)
		require.NoError(t, err)
		decoded, err := DecodeModel(again)
		require.NoError(t, err)
		text, err := json.Marshal(decoded)
		require.NoError(t, err)
		require.JSONEq(t, string(again), string(text))
		bill := m.Price(usage)
		require.GreaterOrEqual(t, bill.Month, Money(0))
		require.Len(t, m.ByMetric(usage).Shares, 2)
		s, err := m.Saving(usage, []Effect{{Key: Key{Metric: "a"}, After: Estimate{Value: 9, Min: 1, Max: 1 << 61, StandardError: 1e14}}}, Assumptions{})
		require.NoError(t, err)
		require.LessOrEqual(t, s.Month.Low, s.Month.Expected)
		require.LessOrEqual(t, s.Month.Expected, s.Month.High)
	})
}
