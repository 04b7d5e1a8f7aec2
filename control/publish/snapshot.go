package publish

import (
	"slices"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/store"
)

// took publishes the catalogue, which is that of storeVersion, with the
// experiments; nil: those that there are. If nothing changed for the data path the
// snapshot stays, and is known to have this state of the store, too. The caller
// has turn.
func (p *Publisher) took(changed bool, kill store.KillSwitch, experiments *trials) error {
	next := p.content // which only who has turn writes
	before := p.content
	if changed || !next.known {
		s, leftOut, err := p.catalogue.assemble()
		if err != nil {
			return err
		}
		next.rules, next.sampling, next.leftOut, next.unpriced = s.Rules, s.Sampling, leftOut, p.catalogue.unpriced()
		next.preview, next.enforced = p.catalogue.count()
		next.ids = p.catalogue.ids()
		changed = true
	}
	changed = changed || next.kill.On != kill.On
	next.known, next.storeVersion, next.kill = true, p.storeVersion, kill
	p.mu.Lock()
	p.content = next
	if experiments != nil {
		changed = changed || !experiments.does(p.trials)
		p.trials = experiments
	}
	status, fresh := p.publish(changed)
	p.mu.Unlock()
	p.warn("A policy is left out because this version refuses it; update or disable it", before.leftOut, next.leftOut)
	p.warn("A budget is left out because it has no price; activate a price model that has one, or give it in points or bytes",
		before.unpriced, next.unpriced)
	p.tell(fresh, status)
	return nil
}

// publish makes the snapshot of content and file the current one. Unless a new
// one is needed it keeps the rules and the version, and tells only what else is
// new; it returns which it did. The caller has mu.
func (p *Publisher) publish(fresh bool) (Status, bool) {
	present := p.current.Load()
	next := &publication{snapshot: present.snapshot, rules: p.content.rules, sampling: p.content.sampling, prices: present.prices, status: present.status}
	kill := p.killState()
	// While all is off nothing else makes a difference.
	fresh = fresh && (!kill.Engaged || !present.snapshot.Urgent)
	if fresh {
		// Not less than the version of the store, so that people find one by the other.
		p.version = max(p.version+1, p.content.storeVersion)
		next.snapshot = &policy.Snapshot{Version: p.version, Rules: p.content.rules, Sampling: p.content.sampling}
		next.status.ExperimentsLeftOut = p.trials.appendTo(next.snapshot, p.content.ids)
		if kill.Engaged { // at once; what comes back when it is released may wait for an edge
			next.snapshot.Rules, next.snapshot.Sampling, next.snapshot.Routes, next.snapshot.Urgent = []policy.Rule{}, nil, nil, true
		}
		next.status.PublishedAt = p.settings.Now()
		p.record()
	} else if last := len(p.records) - 1; last >= 0 {
		p.records[last].storeVersion = p.content.storeVersion
	}
	s := &next.status
	s.Version, s.StoreVersion = p.version, p.content.storeVersion
	s.Rules, s.Sampling, s.Routes = len(next.snapshot.Rules), len(next.snapshot.Sampling), len(next.snapshot.Routes)
	s.Preview, s.Enforced, s.Kill = p.content.preview, p.content.enforced, kill
	s.LeftOut, s.Unpriced = p.content.leftOut, p.content.unpriced
	p.current.Store(next)
	return *s, fresh
}

// record notes what the new version holds. What was noted of versions before the
// store went back in time does not hold any more.
func (p *Publisher) record() {
	r := record{version: p.version, storeVersion: p.content.storeVersion}
	if last := len(p.records) - 1; last >= 0 && p.records[last].storeVersion > r.storeVersion {
		p.records = nil
	}
	if len(p.records) == maxRecords {
		p.records = slices.Delete(p.records, 0, maxRecords/2)
	}
	p.records = append(p.records, r)
}

// tell calls the hook for a new snapshot. Nobody has mu.
func (p *Publisher) tell(fresh bool, s Status) {
	if fresh && p.settings.OnPublish != nil {
		p.settings.OnPublish(s)
	}
}

// warn logs the policies that are left out, wholly or in part, since now.
func (p *Publisher) warn(message string, before, after []LeftOut) {
	for _, l := range after {
		if slices.Contains(before, l) {
			continue
		}
		p.settings.Logger.Warn(message, zap.String("policy", l.Resource()), zap.Int64("revision", int64(l.Revision)), zap.String("problem", l.Problem))
	}
}
