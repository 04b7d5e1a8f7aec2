package insight_test

import (
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/report"
)

// ingest and export are measuring points with metrics of every kind, and
// sampleTime is when they end.
func ingest() report.Cardinality { return controltest.Ingest() }
func export() report.Cardinality { return controltest.Export() }

var sampleTime = ingest().To
