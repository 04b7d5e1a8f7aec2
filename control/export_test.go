package control

import "github.com/phoenix-platform/phoenix/control/tap"

// TapHub lets a test look at what components offer.
func (p *Plane) TapHub() *tap.Hub { return p.tap }
