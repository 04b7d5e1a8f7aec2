package insight_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/store"
)

// exampleModel is that of the README of control/cost, without its fee.
func exampleModel(name string) *phoenixv1.PriceModel {
	return &phoenixv1.PriceModel{
		Name: name, Currency: "USD", Effective: "2026-03-11",
		Components: []*phoenixv1.PriceComponent{{
			Name: "active series", Kind: "active_series", Per: 1000, Included: 10_000,
			Tiers: []*phoenixv1.PriceTier{{UpTo: 100_000, Price: "6.50"}, {Price: "5"}},
		}},
	}
}

func flatModel(name, price string) *phoenixv1.PriceModel {
	return &phoenixv1.PriceModel{
		Name: name, Currency: "EUR",
		Components: []*phoenixv1.PriceComponent{{Name: "active series", Kind: "active_series", Price: &price, Per: 1000}},
	}
}

func put(tb testing.TB, w *world, m *phoenixv1.PriceModel) *phoenixv1.PriceModel {
	tb.Helper()
	answer, err := w.PriceModels.PutPriceModel(as(tb, "root"), &phoenixv1.PutPriceModelRequest{PriceModel: m})
	require.NoError(tb, err)
	return answer
}

// activate puts a model in force.
func activate(tb testing.TB, w *world, m *phoenixv1.PriceModel) {
	tb.Helper()
	put(tb, w, m)
	_, err := w.PriceModels.ActivatePriceModel(as(tb, "root"), &phoenixv1.ActivatePriceModelRequest{Name: m.GetName()})
	require.NoError(tb, err)
}

func models(tb testing.TB, w *world, size uint32) (names []string) {
	tb.Helper()
	r := &phoenixv1.ListPriceModelsRequest{PageSize: size}
	for {
		page, err := w.PriceModels.ListPriceModels(as(tb, "shop"), r)
		require.NoError(tb, err)
		for _, m := range page.GetPriceModels() {
			name := m.GetName()
			if m.GetPreset() {
				name += " preset"
			}
			if m.GetActive() {
				name += " active"
			}
			names = append(names, name)
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			return names
		}
	}
}

func TestPriceModelsLiveAndDie(t *testing.T) {
	w := newWorld(t)
	assert.Equal(t, []string{"alibaba-cloud-prometheus-by-volume preset", "custom preset active"}, models(t, w, 0))

	created := put(t, w, exampleModel("zebra"))
	assert.NotEmpty(t, created.GetEtag())
	assert.Equal(t, "certificate:root", created.GetUpdatedBy())
	assert.EqualValues(t, 730, created.GetHoursAMonth())
	want := exampleModel("zebra")
	assert.True(t, proto.Equal(want.GetComponents()[0].GetTiers()[0], created.GetComponents()[0].GetTiers()[0]))

	// Who sends back what they got changes what they got, and nothing else.
	again, err := w.PriceModels.PutPriceModel(as(t, "root"), &phoenixv1.PutPriceModelRequest{PriceModel: created})
	require.NoError(t, err)
	created.Note = "mine"
	_, err = w.PriceModels.PutPriceModel(as(t, "root", ifMatch(again.GetEtag())), &phoenixv1.PutPriceModelRequest{PriceModel: created})
	require.NoError(t, err)
	_, err = w.PriceModels.PutPriceModel(as(t, "root"), &phoenixv1.PutPriceModelRequest{PriceModel: again})
	requireRefused(t, err, fault.PreconditionFailed) // by the etag in the body
	for _, bad := range []string{"*", " ", `W/"1"`, "x", `"01"`} {
		wrong := exampleModel("zebra")
		wrong.Etag = bad
		_, err = w.PriceModels.PutPriceModel(as(t, "root"), &phoenixv1.PutPriceModelRequest{PriceModel: wrong})
		requireRefused(t, err, fault.PreconditionFailed)
	}
	_, err = w.PriceModels.PutPriceModel(as(t, "root", ifMatch(`"1"`)), &phoenixv1.PutPriceModelRequest{PriceModel: exampleModel("new")})
	requireRefused(t, err, fault.PreconditionFailed)

	answer, err := w.PriceModels.ActivatePriceModel(as(t, "root"), &phoenixv1.ActivatePriceModelRequest{Name: "zebra"})
	require.NoError(t, err)
	assert.True(t, answer.GetActive())
	assert.Equal(t, []string{"zebra active", "alibaba-cloud-prometheus-by-volume preset", "custom preset"}, models(t, w, 1))
	_, err = w.PriceModels.DeletePriceModel(as(t, "root"), &phoenixv1.DeletePriceModelRequest{Name: "zebra"})
	assert.Contains(t, refused(t, err, fault.Conflict).Detail, "activate another one first")
	_, err = w.PriceModels.DeletePriceModel(as(t, "root"), &phoenixv1.DeletePriceModelRequest{Name: "custom"})
	assert.Contains(t, refused(t, err, fault.Conflict).Detail, "ships with Phoenix")

	// A preset is stored when it is put in force.
	_, err = w.PriceModels.ActivatePriceModel(as(t, "root"), &phoenixv1.ActivatePriceModelRequest{Name: "alibaba-cloud-prometheus-by-volume"})
	require.NoError(t, err)
	assert.Equal(t, []string{"alibaba-cloud-prometheus-by-volume active", "zebra", "custom preset"}, models(t, w, 0))
	_, err = w.PriceModels.DeletePriceModel(as(t, "root", ifMatch(`"1"`)), &phoenixv1.DeletePriceModelRequest{Name: "zebra"})
	requireRefused(t, err, fault.PreconditionFailed)
	_, err = w.PriceModels.DeletePriceModel(as(t, "root"), &phoenixv1.DeletePriceModelRequest{Name: "zebra"})
	require.NoError(t, err)

	for _, err := range []error{
		second(w.PriceModels.GetPriceModel(as(t, "root"), &phoenixv1.GetPriceModelRequest{Name: "zebra"})),
		second(w.PriceModels.DeletePriceModel(as(t, "root"), &phoenixv1.DeletePriceModelRequest{Name: "zebra"})),
		second(w.PriceModels.ActivatePriceModel(as(t, "root"), &phoenixv1.ActivatePriceModelRequest{Name: "zebra"})),
		second(w.PriceModels.GetPriceModel(as(t, "root"), &phoenixv1.GetPriceModelRequest{Name: "a/b"})),
	} {
		assert.Contains(t, refused(t, err, fault.NotFound).Detail, "there is no price model")
	}
	var actions []string
	audit, err := w.store.ListAudit(t.Context(), store.AuditQuery{})
	require.NoError(t, err)
	for _, r := range audit.Items {
		actions = append(actions, r.Action+" "+r.Resource)
	}
	assert.Equal(t, []string{
		"priceModels.delete priceModels/zebra", "priceModels.update facts/price_model.active",
		"priceModels.update priceModels/alibaba-cloud-prometheus-by-volume", "priceModels.update facts/price_model.active",
		"priceModels.update priceModels/zebra", "priceModels.update priceModels/zebra", "priceModels.create priceModels/zebra",
	}, actions)
}

func second[T any](_ T, err error) error { return err }

func TestAChangeOfPricesIsAnEvent(t *testing.T) {
	w := newWorld(t)
	watch, err := w.core.Events.Subscribe(nil)
	require.NoError(t, err)
	defer watch.Close()
	activate(t, w, flatModel("mine", "1"))
	for _, want := range []string{"created", "activated"} {
		e, err := watch.Next(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "price_model.changed", e.Type)
		assert.Equal(t, "priceModels/mine", e.Resource)
		assert.Equal(t, want, e.Detail["change"])
	}
}

func TestPricesAreForAdministratorsOfAll(t *testing.T) {
	w := newWorld(t)
	put(t, w, exampleModel("mine"))
	for _, who := range []string{"viewer", "shop", "shop-admin"} {
		_, err := w.PriceModels.GetPriceModel(as(t, who), &phoenixv1.GetPriceModelRequest{Name: "mine"})
		require.NoError(t, err)
		for _, err := range []error{
			second(w.PriceModels.PutPriceModel(as(t, who), &phoenixv1.PutPriceModelRequest{PriceModel: exampleModel("mine")})),
			second(w.PriceModels.DeletePriceModel(as(t, who), &phoenixv1.DeletePriceModelRequest{Name: "mine"})),
			second(w.PriceModels.ActivatePriceModel(as(t, who), &phoenixv1.ActivatePriceModelRequest{Name: "mine"})),
		} {
			requireRefused(t, err, fault.Forbidden)
		}
	}
	_, err := w.PriceModels.ListPriceModels(as(t, "stranger"), &phoenixv1.ListPriceModelsRequest{})
	requireRefused(t, err, fault.Forbidden)
	_, err = w.PriceModels.ListPriceModels(context.Background(), &phoenixv1.ListPriceModelsRequest{})
	requireRefused(t, err, fault.Unauthenticated)
}

func TestEveryMistakeOfAModelHasItsPath(t *testing.T) {
	w := newWorld(t)
	f := func(m *phoenixv1.PriceModel, want ...string) {
		t.Helper()
		_, err := w.PriceModels.PutPriceModel(as(t, "root"), &phoenixv1.PutPriceModelRequest{PriceModel: m})
		var got []string
		for _, v := range refused(t, err, fault.Invalid).Violations {
			got = append(got, v.Field+": "+v.Description)
		}
		assert.Equal(t, want, got)
	}
	bad, empty := "6,50", ""
	f(nil, "price_model: must be given")
	f(&phoenixv1.PriceModel{
		Name: "a:activate", Currency: "dollars", HoursAMonth: 1,
		Source: &phoenixv1.PriceSource{Url: "javascript:alert(1)"},
		Components: []*phoenixv1.PriceComponent{
			{Name: "a", Kind: "active_series", Price: &bad, Per: 0.5},
			{Name: "b", Kind: "samples", Price: &empty, Included: -1},
			{Name: "b", Kind: "series"},
			{Name: "c", Kind: "custom_metrics", Aggregations: map[string]float64{"histogram": 1.5, "counter": 2}, Tiers: []*phoenixv1.PriceTier{{UpTo: 1e19, Price: "1"}, {Price: "x"}}},
			nil,
		},
	},
		"price_model.components[0].per: must be a whole number from 0 to 10^18, got 0.5",
		`price_model.components[0].price: "6,50" must be a decimal number such as 6.50, without an exponent`,
		"price_model.components[1].included: must be a whole number from 0 to 10^18, got -1",
		`price_model.components[1].price: must be given, a decimal number in quotes such as "6.50"`,
		"price_model.components[3].aggregations.histogram: must be a whole number from 0 to 10^18, got 1.5",
		"price_model.components[3].tiers[0].up_to: must be a whole number from 0 to 10^18, got 1e+19",
		`price_model.components[3].tiers[1].price: "x" must be a decimal number such as 6.50, without an exponent`,
		`price_model.currency: must be a code of three capital letters such as USD, got "dollars"`,
		`price_model.source.url: must be an address that begins with https:// or http://, got "javascript:alert(1)"`,
		"price_model.hours_a_month: must be between 672 and 744, got 1",
		`price_model.components[2].kind: must be one of active_series, samples, ingested_bytes, custom_metrics, hosts or fee, got "series"`,
		`price_model.components[2].name: "b" is the name of components[1] already`,
		`price_model.components[3].aggregations: must be keyed by gauge, sum, histogram, exponential_histogram, summary or mixed, got "counter"`,
		"price_model.components[4].name: must not be empty",
		`price_model.components[4].kind: must be one of active_series, samples, ingested_bytes, custom_metrics, hosts or fee, got ""`,
		`price_model.name: must be at most 128 letters, digits and ._-, with a letter or digit at both ends, got "a:activate"`,
	)
	f(flatModel(strings.Repeat("a", 129), "1"),
		"price_model.name: must not be longer than 128 bytes, got 129",
		`price_model.name: must be at most 128 letters, digits and ._-, with a letter or digit at both ends, got "`+strings.Repeat("a", 100)+`..."`)
}

// TestAModelSurvivesTheStore puts random models and gets them back.
func TestAModelSurvivesTheStore(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := randomModel(rt)
		put(t, w, m)
		got, err := w.PriceModels.GetPriceModel(as(t, "viewer"), &phoenixv1.GetPriceModelRequest{Name: m.GetName()})
		require.NoError(rt, err)
		etag := got.GetEtag()
		got.Etag, got.UpdatedAt, got.UpdatedBy, got.HoursAMonth = "", nil, "", m.GetHoursAMonth()
		for i, c := range m.GetComponents() {
			if c.GetPer() == 0 {
				got.Components[i].Per = 0
			}
			if c.GetTierMode() == "" {
				got.Components[i].TierMode = ""
			}
		}
		require.Equal(rt, shown(t, m), shown(t, got))
		require.NotEmpty(rt, etag)
	})
}

func randomModel(t *rapid.T) *phoenixv1.PriceModel {
	m := &phoenixv1.PriceModel{
		Name: "random", Currency: rapid.StringMatching("[A-Z]{3}").Draw(t, "currency"),
		Note: rapid.StringN(0, 20, 80).Draw(t, "note"), Backend: rapid.SampledFrom([]string{"", "prometheus", "otlp"}).Draw(t, "backend"),
	}
	amount := rapid.SampledFrom([]string{"0.00", "0.000001", "6.50", "1000000.00"})
	for i, kind := range rapid.SliceOfN(rapid.SampledFrom([]string{"active_series", "samples", "ingested_bytes", "custom_metrics", "hosts"}), 1, 4).Draw(t, "kinds") {
		c := &phoenixv1.PriceComponent{
			Name: string(rune('a' + i)), Kind: kind,
			Per:      float64(rapid.SampledFrom([]uint64{0, 1, 1000, 1 << 30}).Draw(t, "per")),
			Included: float64(rapid.Uint64Range(0, 1<<40).Draw(t, "included")),
		}
		switch kind {
		case "ingested_bytes":
			c.BytesPerSample = float64(rapid.Uint64Range(1, 1000).Draw(t, "bytes"))
		case "custom_metrics":
			c.Aggregations = map[string]float64{"histogram": float64(rapid.Uint64Range(1, 9).Draw(t, "aggregations"))}
		case "active_series":
			c.IncludedDpm = float64(rapid.Uint64Range(0, 60).Draw(t, "dpm"))
		}
		if rapid.Bool().Draw(t, "tiers") {
			c.Tiers = []*phoenixv1.PriceTier{{UpTo: float64(rapid.Uint64Range(1, 1e12).Draw(t, "up to")), Price: amount.Draw(t, "price")}, {Price: amount.Draw(t, "price")}}
			c.TierMode = rapid.SampledFrom([]string{"", "graduated", "volume"}).Draw(t, "mode")
		} else {
			c.Price = new(amount.Draw(t, "price"))
		}
		m.Components = append(m.Components, c)
	}
	return m
}

func TestAStoreThatIsAwayIsSaid(t *testing.T) {
	w := newWorld(t)
	w.measure(ingest())
	require.NoError(t, w.store.Close())
	w.set(func() {})
	_, err := w.Costs.GetCosts(as(t, "viewer"), &phoenixv1.GetCostsRequest{})
	requireRefused(t, err, fault.Unavailable)
	_, err = w.PriceModels.ListPriceModels(as(t, "viewer"), &phoenixv1.ListPriceModelsRequest{})
	requireRefused(t, err, fault.Unavailable)
	_, err = w.Cardinality.ListCardinality(as(t, "viewer"), &phoenixv1.ListCardinalityRequest{})
	require.NoError(t, err, "what the stream is needs no store")
}
