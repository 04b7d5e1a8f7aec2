package conductor

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/store"
)

// The fact that says who conducts, and the kind of the history that says when
// they were last heard of.
const seatFact, seatHistory = "conductor", "conductor.heartbeat"

// seatEvery is how often a conductor is heard of, seatLost when it is not one any
// more: as long as a lease, so that nobody routes for two.
const seatEvery, seatLost = experiment.LeaseRenewal, experiment.LeaseDuration

// holder is what the fact says.
type holder struct {
	Instance string    `json:"instance"`
	Since    time.Time `json:"since"`
}

// seat is the right to conduct. Of a store that nobody else uses it is always
// held.
type seat struct {
	settings Settings

	mu sync.Mutex
	// until is when it is lost unless it is confirmed.
	until time.Time
	// other is who has it, err why that is not known.
	other string
	err   error
}

func newSeat(s Settings) *seat { return &seat{settings: s} }

// held says whether this control plane conducts.
func (s *seat) held() bool {
	if s.settings.Exclusive {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings.Now().Before(s.until)
}

// who says who conducts, empty if it is this control plane.
func (s *seat) who() (other string, err error) {
	if s.held() {
		return "", nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.other == "" && s.err == nil {
		return "", errSeat
	}
	return s.other, s.err
}

var errSeat = errors.New("it is not known yet who conducts the experiments")

// keep takes the seat when it is free and says that it is taken, until ctx ends.
func (s *seat) keep(ctx context.Context) {
	if s.settings.Exclusive {
		return
	}
	tick := time.NewTicker(seatEvery)
	defer tick.Stop()
	var unknown trouble
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := s.take(ctx)
		unknown.note(err != nil && ctx.Err() == nil, func() {
			s.settings.Logger.Warn("It cannot be stored that this control plane conducts the experiments", zap.Error(err))
		})
	}
}

// take takes the seat if it is free, or confirms it. Without the store nobody can
// take it, and who has it keeps it for as long as nobody can.
func (s *seat) take(ctx context.Context) (bool, error) {
	if s.settings.Exclusive {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	now := s.settings.Now()
	present, alive, err := s.read(ctx, now)
	mine := present.Instance == s.settings.Instance
	if err == nil && !mine && !alive {
		err = s.claim(ctx, now)
		if mine = err == nil; mine {
			present.Instance = s.settings.Instance
		}
	}
	if err == nil && mine {
		err = s.beat(ctx, now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, store.ErrUnavailable) && now.Before(s.until):
		s.until = now.Add(seatLost) // the others do not reach it either
		return true, nil
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists):
		return false, nil // another one was faster
	case err != nil:
		s.err = err
		return now.Before(s.until), err
	}
	s.err = nil
	if !mine {
		s.other, s.until = present.Instance, time.Time{}
		return false, nil
	}
	s.other, s.until = "", now.Add(seatLost)
	return true, nil
}

// read says who has the seat and whether they were heard of lately.
func (s *seat) read(ctx context.Context, now time.Time) (h holder, alive bool, err error) {
	fact, err := s.settings.Store.GetFact(ctx, seatFact)
	if errors.Is(err, store.ErrNotFound) {
		return holder{}, false, nil
	}
	if err != nil {
		return holder{}, false, err
	}
	if err := json.Unmarshal(fact.Value, &h); err != nil || h.Instance == "" {
		return holder{}, false, nil //nolint:nilerr // who wrote that conducts nothing
	}
	heard, err := s.settings.Store.GetHistory(ctx, store.HistoryQuery{
		Kind: seatHistory, Key: h.Instance, From: now.Add(-2 * store.FineStep), Step: store.FineStep,
	})
	if err != nil {
		return holder{}, false, err
	}
	last := h.Since
	if n := len(heard); n > 0 {
		if beat := time.UnixMilli(int64(heard[n-1].High)); beat.After(last) {
			last = beat
		}
	}
	return h, now.Sub(last) < seatLost, nil
}

// claim writes the fact, unless somebody else does at the same time.
func (s *seat) claim(ctx context.Context, now time.Time) error {
	value, err := json.Marshal(holder{Instance: s.settings.Instance, Since: now.UTC().Round(0)})
	if err != nil {
		return err
	}
	return s.settings.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		condition := store.Absent
		fact, err := tx.GetFact(ctx, seatFact)
		switch {
		case err == nil:
			condition = fact.Revision
			var there holder
			if json.Unmarshal(fact.Value, &there) == nil && now.Sub(there.Since) < seatLost && there.Instance != s.settings.Instance {
				return store.ErrConflict // it was taken since it was read
			}
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		_, err = tx.PutFact(ctx, store.FactUpdate{Key: seatFact, If: condition, Value: value},
			store.Entry{Principal: principal, Action: "experiments.conduct", Detail: map[string]string{"instance": s.settings.Instance}})
		return err
	})
}

// beat says that this conductor lives. A history has room for it: a value each
// five minutes, of which the last one stays.
func (s *seat) beat(ctx context.Context, now time.Time) error {
	_, err := s.settings.Store.AppendSamples(ctx, []store.Sample{{
		Time: now, Kind: seatHistory, Key: s.settings.Instance, Value: float64(now.UnixMilli()),
	}})
	return err
}

// free leaves the seat to others at once.
func (s *seat) free(ctx context.Context) {
	if s.settings.Exclusive || !s.held() {
		return
	}
	s.mu.Lock()
	s.until = time.Time{}
	s.mu.Unlock()
	err := s.settings.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		return tx.DeleteFact(ctx, seatFact, store.Any,
			store.Entry{Principal: principal, Action: "experiments.leave", Detail: map[string]string{"instance": s.settings.Instance}})
	})
	if err != nil {
		s.settings.Logger.Debug("That nobody conducts the experiments any more cannot be stored; others see it in a minute", zap.Error(err))
	}
}
