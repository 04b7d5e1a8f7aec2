package conductor

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/store"
)

// maxDetailText bounds a detail of the audit log.
const maxDetailText = 1000

// entryOf is the entry of the audit log for what happened.
func entryOf(o *outcome) store.Entry {
	e := lastLoud(o.events)
	entry := store.Entry{Principal: principal, Action: "experiments." + string(e.Kind)}
	if o.entry != nil {
		entry = *o.entry
	}
	detail := detailOf(e)
	maps.Copy(detail, entry.Detail)
	entry.Detail = detail
	return entry
}

// lastLoud is the event that the audit log is told of. Several at one time are a
// weight and what follows from it.
func lastLoud(events []experiment.Event) experiment.Event {
	var last experiment.Event
	for _, e := range events {
		if e.Kind != experiment.EventLate {
			last = e
		}
	}
	return last
}

// detailOf is what else matters of an event.
func detailOf(e experiment.Event) map[string]string {
	detail := map[string]string{
		"from": string(e.From), "to": string(e.To),
		"weights": strconv.Itoa(e.Weights.Baseline) + "/" + strconv.Itoa(e.Weights.Candidate),
	}
	if len(e.Reasons) > 0 {
		detail["code"] = string(e.Reasons[0].Code)
		detail["reasons"] = plain(reasonsText(e.Reasons))
	}
	return detail
}

func reasonsText(reasons []experiment.Reason) string {
	texts := make([]string, len(reasons))
	for i, r := range reasons {
		texts[i] = r.Text
	}
	return strings.Join(texts, "; ")
}

// plain is a text that the audit log takes: one bounded line.
func plain(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxDetailText {
		text = strings.ToValidUTF8(text[:maxDetailText], "")
	}
	return text
}

// announce tells the world what happened.
func (c *Conductor) announce(o *outcome) {
	for _, e := range o.events {
		if e.Kind == experiment.EventLate {
			continue
		}
		if e.Kind == experiment.EventPhase {
			c.changed(o.run, e)
		}
		c.settings.Announce(bus.Event{
			Time: e.At, Type: "experiment." + string(e.Kind), Namespace: o.run.key.Namespace, Resource: o.run.key.Resource(),
			Message: message(e), Principal: cmp.Or(e.By, principal), Detail: detailOf(e),
		})
	}
}

func (c *Conductor) changed(r *run, e experiment.Event) {
	var code experiment.ReasonCode
	if len(e.Reasons) > 0 {
		code = e.Reasons[0].Code
	}
	c.settings.Observer.Changed(e.To, code)
	c.logger.Info("Experiment changed its phase", zap.String("experiment", r.spec.ID), zap.String("from", string(e.From)),
		zap.String("to", string(e.To)), zap.String("reasons", plain(reasonsText(e.Reasons))))
}

// message is a sentence about an event.
func message(e experiment.Event) string {
	var text string
	switch e.Kind {
	case experiment.EventPhase:
		text = fmt.Sprintf("The experiment is %s", e.To)
	case experiment.EventWeight:
		text = fmt.Sprintf("The candidate has %d %% of the units", e.Weights.Candidate)
	case experiment.EventWaiting:
		text = "The promotion waits for an approval"
	case experiment.EventApproved:
		text = "It was approved"
	case experiment.EventLate:
		text = "An observation came late"
	}
	if len(e.Reasons) > 0 && e.Kind != experiment.EventWaiting {
		text += ": " + plain(reasonsText(e.Reasons))
	}
	return text
}
