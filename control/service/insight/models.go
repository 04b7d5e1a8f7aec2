package insight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/store"
)

// activeKey is the fact that names the price model in force.
const activeKey = "price_model.active"

// pricing is a price model to be used.
type pricing struct {
	cost.Model
	// key names this state of the model in caches.
	key string
	// warning says why it is not the one that was meant.
	warning string
}

// models reads price models.
type models struct {
	*insight
	active fresh[pricing]
}

// storeReader is a store, or a transaction of it.
type storeReader interface {
	store.PriceModelReader
	store.FactReader
}

// use returns the model of this name, or the active one if it is empty.
func (m *models) use(ctx context.Context, name string) (pricing, error) {
	if name == "" {
		return m.active.get(ctx, m.work, m.readActive)
	}
	p, err := readModel(ctx, m.Core.Store, name)
	if errors.Is(err, store.ErrNotFound) {
		return pricing{}, unknownModel(name)
	}
	return p, err
}

func unknownModel(name string) error {
	return fault.New(fault.NotFound, "there is no price model "+quote(name)+"; GET /api/v1/priceModels lists them")
}

func (m *models) readActive(ctx context.Context) (pricing, error) {
	name, err := activeName(ctx, m.Core.Store)
	if err != nil {
		return pricing{}, err
	}
	p, err := readModel(ctx, m.Core.Store, name)
	if errors.Is(err, store.ErrNotFound) { // somebody edited the database
		custom := cost.Custom()
		return pricing{Model: custom, key: "preset/" + custom.Name, warning: fmt.Sprintf(
			"The active price model %s is not there; activate another", quote(name))}, nil
	}
	return p, err
}

// activeName is the name of the price model in force.
func activeName(ctx context.Context, r store.FactReader) (string, error) {
	fact, err := r.GetFact(ctx, activeKey)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return cost.Custom().Name, nil
	case err != nil:
		return "", err
	}
	return string(fact.Value), nil
}

// readModel returns a stored model, or else the preset of that name. The error
// wraps store.ErrNotFound if there is neither.
func readModel(ctx context.Context, r store.PriceModelReader, name string) (pricing, error) {
	stored, err := r.GetPriceModel(ctx, name)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrInvalid):
		preset, known, err := presetOf(name)
		if err != nil || !known {
			return pricing{}, errors.Join(err, store.ErrNotFound)
		}
		return pricing{Model: preset, key: "preset/" + name}, nil
	case err != nil:
		return pricing{}, err
	}
	model, err := cost.DecodeModel(stored.Spec)
	if err != nil {
		return pricing{}, fmt.Errorf("the stored price model %q: %w", name, err)
	}
	return pricing{Model: model, key: fmt.Sprintf("stored/%d/%s", stored.Revision, name)}, nil
}

// presets are the models that ship with Phoenix, by name.
func presets() ([]cost.Model, error) {
	list, err := cost.Presets()
	if err != nil {
		return nil, err
	}
	list = append(slices.Clone(list), cost.Custom())
	slices.SortFunc(list, func(a, b cost.Model) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func presetOf(name string) (cost.Model, bool, error) {
	list, err := presets()
	if err != nil {
		return cost.Model{}, false, err
	}
	for _, m := range list {
		if m.Name == name {
			return m, true, nil
		}
	}
	return cost.Model{}, false, nil
}
