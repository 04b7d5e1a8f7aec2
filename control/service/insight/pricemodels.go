package insight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

type priceModelsServer struct {
	phoenixv1.UnimplementedPriceModelsServer
	*insight
}

var _ phoenixv1.PriceModelsServer = (*priceModelsServer)(nil)

// modelName is what the name of a stored model looks like: it stands in paths.
var modelName = regexp.MustCompile(`\A[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?\z`)

// ListPriceModels implements phoenixv1.PriceModelsServer.
func (s *priceModelsServer) ListPriceModels(ctx context.Context, r *phoenixv1.ListPriceModelsRequest) (*phoenixv1.ListPriceModelsResponse, error) {
	if err := s.Core.Authorize(ctx, access.List, access.PriceModels, ""); err != nil {
		return nil, err
	}
	var v violations
	size, query := v.pageSize(r.GetPageSize()), digestOf(r, "page_token", "page_size")
	after := v.page(r.GetPageToken(), query)
	if err := v.err(); err != nil {
		return nil, err
	}
	all, err := s.all(ctx)
	if err != nil {
		return nil, asFault(err)
	}
	answer := &phoenixv1.ListPriceModelsResponse{}
	for _, m := range all {
		place := rank{name: m.GetName()}
		if m.GetPreset() {
			place.value = -1 // after the stored ones
		}
		if after != nil && place.compare(after.rank) <= 0 {
			continue
		}
		if len(answer.PriceModels) == size {
			answer.NextPageToken = cursor{query: query, rank: after.rank}.token()
			break
		}
		answer.PriceModels = append(answer.PriceModels, m)
		after = &cursor{rank: place}
	}
	return answer, nil
}

// all returns the stored models and, after them, the presets that are not
// stored. There are few: people write them.
func (s *priceModelsServer) all(ctx context.Context) ([]*phoenixv1.PriceModel, error) {
	active, err := activeName(ctx, s.Core.Store)
	if err != nil {
		return nil, err
	}
	var list []*phoenixv1.PriceModel
	stored := map[string]bool{}
	request := store.PageRequest{Size: store.MaxPageSize}
	for {
		page, err := s.Core.Store.ListPriceModels(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, one := range page.Items {
			m, err := wireStored(one, active)
			if err != nil {
				return nil, err
			}
			stored[one.Name] = true
			list = append(list, m)
		}
		if page.Next == "" {
			break
		}
		request.Token = page.Next
	}
	shipped, err := presets()
	if err != nil {
		return nil, err
	}
	for _, m := range shipped {
		if !stored[m.Name] {
			list = append(list, wirePreset(m, active))
		}
	}
	return list, nil
}

func wireStored(m store.PriceModel, active string) (*phoenixv1.PriceModel, error) {
	model, err := cost.DecodeModel(m.Spec)
	if err != nil {
		return nil, fmt.Errorf("the stored price model %q: %w", m.Name, err)
	}
	w := wireModel(model)
	w.Name, w.Etag, w.Active = m.Name, service.ETag(m.Revision), m.Name == active
	w.UpdatedAt, w.UpdatedBy = timestamppb.New(m.UpdatedAt), m.UpdatedBy
	return w, nil
}

func wirePreset(m cost.Model, active string) *phoenixv1.PriceModel {
	w := wireModel(m)
	w.Preset, w.Active = true, m.Name == active
	return w
}

// GetPriceModel implements phoenixv1.PriceModelsServer.
func (s *priceModelsServer) GetPriceModel(ctx context.Context, r *phoenixv1.GetPriceModelRequest) (*phoenixv1.PriceModel, error) {
	if err := s.Core.Authorize(ctx, access.Get, access.PriceModels, ""); err != nil {
		return nil, err
	}
	m, err := s.get(ctx, s.Core.Store, r.GetName())
	return m, asFault(err)
}

func (s *priceModelsServer) get(ctx context.Context, from storeReader, name string) (*phoenixv1.PriceModel, error) {
	active, err := activeName(ctx, from)
	if err != nil {
		return nil, err
	}
	stored, err := from.GetPriceModel(ctx, name)
	if err == nil {
		return wireStored(stored, active)
	}
	if !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrInvalid) {
		return nil, err
	}
	preset, known, err := presetOf(name)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, unknownModel(name)
	}
	return wirePreset(preset, active), nil
}

// PutPriceModel implements phoenixv1.PriceModelsServer.
func (s *priceModelsServer) PutPriceModel(ctx context.Context, r *phoenixv1.PutPriceModelRequest) (*phoenixv1.PriceModel, error) {
	// It may do either, and says which only once it has looked.
	if err := s.Core.AuthorizeEach(ctx, []access.Verb{access.Create, access.Update}, access.PriceModels, ""); err != nil {
		return nil, err
	}
	condition, err := service.ConditionOr(ctx, r.GetPriceModel().GetEtag())
	if err != nil {
		return nil, err
	}
	model, err := readWireModel(r.GetPriceModel())
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(model)
	if err != nil {
		return nil, asFault(err)
	}
	var answer *phoenixv1.PriceModel
	change := "updated"
	err = s.Core.Change(ctx, func(ctx context.Context, tx store.Tx) error {
		verb := access.Update
		if _, err := tx.GetPriceModel(ctx, model.Name); errors.Is(err, store.ErrNotFound) {
			verb, change = access.Create, "created"
			if condition > 0 {
				return store.ErrConflict
			}
		}
		update := store.PriceModelUpdate{Name: model.Name, If: condition, Spec: spec}
		if _, err := tx.PutPriceModel(ctx, update, s.Core.Entry(ctx, access.Action(access.PriceModels, verb))); err != nil {
			return err
		}
		answer, err = s.get(ctx, tx, model.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.changed(ctx, model.Name, change)
	return answer, nil
}

// DeletePriceModel implements phoenixv1.PriceModelsServer.
func (s *priceModelsServer) DeletePriceModel(ctx context.Context, r *phoenixv1.DeletePriceModelRequest) (*phoenixv1.DeletePriceModelResponse, error) {
	if err := s.Core.Authorize(ctx, access.Delete, access.PriceModels, ""); err != nil {
		return nil, err
	}
	condition, err := service.Condition(ctx)
	if err != nil {
		return nil, err
	}
	name := r.GetName()
	err = s.Core.Change(ctx, func(ctx context.Context, tx store.Tx) error {
		present, err := s.get(ctx, tx, name)
		switch {
		case err != nil:
			return err
		case present.GetPreset():
			return fault.New(fault.Conflict, fmt.Sprintf("the price model %q ships with Phoenix and cannot be deleted", name))
		case present.GetActive():
			return fault.New(fault.Conflict, fmt.Sprintf("the price model %q is active: activate another one first", name))
		}
		return tx.DeletePriceModel(ctx, name, condition, s.Core.Entry(ctx, access.Action(access.PriceModels, access.Delete)))
	})
	if err != nil {
		return nil, err
	}
	s.changed(ctx, name, "deleted")
	return &phoenixv1.DeletePriceModelResponse{}, nil
}

// ActivatePriceModel implements phoenixv1.PriceModelsServer.
func (s *priceModelsServer) ActivatePriceModel(ctx context.Context, r *phoenixv1.ActivatePriceModelRequest) (*phoenixv1.PriceModel, error) {
	if err := s.Core.Authorize(ctx, access.Update, access.PriceModels, ""); err != nil {
		return nil, err
	}
	condition, err := service.Condition(ctx)
	if err != nil {
		return nil, err
	}
	name := r.GetName()
	var answer *phoenixv1.PriceModel
	err = s.Core.Change(ctx, func(ctx context.Context, tx store.Tx) error {
		entry := s.Core.Entry(ctx, access.Action(access.PriceModels, access.Update))
		present, err := s.get(ctx, tx, name)
		if err != nil {
			return err
		}
		if condition > 0 && present.GetEtag() != service.ETag(condition) {
			return store.ErrConflict
		}
		if present.GetPreset() {
			if err := storePreset(ctx, tx, name, entry); err != nil {
				return err
			}
		}
		entry.Detail = map[string]string{"active": name}
		if _, err := tx.PutFact(ctx, store.FactUpdate{Key: activeKey, If: store.Any, Value: []byte(name)}, entry); err != nil {
			return err
		}
		answer, err = s.get(ctx, tx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.changed(ctx, name, "activated")
	return answer, nil
}

// storePreset keeps what is in force as it is now: a later version of Phoenix may
// ship other prices.
func storePreset(ctx context.Context, tx store.Tx, name string, entry store.Entry) error {
	preset, known, err := presetOf(name)
	if err != nil || !known {
		return errors.Join(err, store.ErrNotFound)
	}
	spec, err := json.Marshal(preset)
	if err != nil {
		return err
	}
	_, err = tx.PutPriceModel(ctx, store.PriceModelUpdate{Name: name, If: store.Absent, Spec: spec}, entry)
	return err
}

// changed tells everybody after the commit, and this process to read again.
func (s *priceModelsServer) changed(ctx context.Context, name, change string) {
	s.models.active.forget()
	s.PriceModelChanged()
	s.Core.Events.Publish(bus.Event{
		Time: s.Core.Now(), Type: "price_model.changed", Resource: store.PriceModel{Name: name}.Resource(),
		Message:   fmt.Sprintf("The price model %s was %s", name, change),
		Principal: call.From(ctx).Principal.Name(), Detail: map[string]string{"change": change},
	})
}
