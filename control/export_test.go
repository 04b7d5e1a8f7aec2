package control

import (
	"context"

	"github.com/phoenix-platform/phoenix/control/tap"
	"github.com/phoenix-platform/phoenix/internal/backend"
)

// TapHub lets a test look at what components offer.
func (p *Plane) TapHub() *tap.Hub { return p.tap }

// FlyAutopilot lets the autopilot look once.
func (p *Plane) FlyAutopilot(ctx context.Context) error { return p.autopilot.Look(ctx) }

// BackendOf is by what queries on the data of a measuring point get their labels.
func (p *Plane) BackendOf(point string) backend.PrometheusSettings { return p.arms.backend(point) }
