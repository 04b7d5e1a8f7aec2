package control

import (
	"context"

	"github.com/phoenix-platform/phoenix/control/tap"
)

// TapHub lets a test look at what components offer.
func (p *Plane) TapHub() *tap.Hub { return p.tap }

// FlyAutopilot lets the autopilot look once.
func (p *Plane) FlyAutopilot(ctx context.Context) error { return p.autopilot.Look(ctx) }
