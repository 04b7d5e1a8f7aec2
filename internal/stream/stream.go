package stream

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// Resource is what stays of a resource. Like all values here it is immutable
// once a Table has it.
type Resource struct {
	ID         series.Pair
	Attributes pcommon.Map
	SchemaURL  string
}

// Scope is what stays of an instrumentation scope, below its resource.
type Scope struct {
	ID            series.Pair
	Resource      *Resource
	Name, Version string
	Attributes    pcommon.Map
	SchemaURL     string
}

// Metric is a metric below its scope.
type Metric struct {
	ID                      series.Pair
	Scope                   *Scope
	Name, Description, Unit string
	Metadata                pcommon.Map
	Kind                    consolidation.Kind
}

// Stream is the identity of one output.
type Stream struct {
	Metric     *Metric
	Attributes pcommon.Map
}
