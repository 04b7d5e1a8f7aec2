package routing

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Attribute is a condition: the attribute is there, and its value as text
// (pcommon.Value.AsString) is Value.
type Attribute struct {
	Key, Value string
}

// Level is where an attribute stands.
type Level string

// The levels. LevelAny is the point, and the resource if the point lacks it.
const (
	LevelAny      Level = ""
	LevelResource Level = "resource"
	LevelScope    Level = "scope"
	LevelPoint    Level = "point"
)

// AttributeRef names an attribute.
type AttributeRef struct {
	Level Level
	Key   string
}

// Unit is a kind of units.
type Unit string

// The kinds of units. Experiments without one assign nothing: they mirror.
const (
	UnitNone      Unit = ""
	UnitResource  Unit = "resource"
	UnitSeries    Unit = "series"
	UnitAttribute Unit = "attribute"
	UnitTrace     Unit = "trace"
)

// Experiment is what has to be known of an experiment to find its data.
type Experiment struct {
	// ID identifies the experiment and salts the assignment of its units.
	ID string
	// Resource and Point are the conditions on attributes of the resource, and of
	// the point, span or log record. All must hold; none always do.
	Resource, Point []Attribute
	// Metrics are the names of the metrics that take part. None: all.
	Metrics []string
	// Unit is what is assigned to an arm, UnitAttribute the attribute whose values
	// are the units of UnitAttribute.
	Unit          Unit
	UnitAttribute AttributeRef
	// Rank decides before ID which of several experiments wins: the lower one.
	Rank int
	// Tag is for the caller, who finds his own by it.
	Tag int

	salt  uint64
	order int // place in the table: the lowest wins
}

// check says all that is wrong.
func (e *Experiment) check() error {
	var errs error
	add := func(format string, args ...any) {
		errs = errors.Join(errs, fmt.Errorf("experiment %q: %w", e.ID, fmt.Errorf(format, args...)))
	}
	if e.ID == "" {
		add("id: must not be empty")
	}
	scope := func(level Level, conditions []Attribute) {
		for i, c := range conditions {
			if c.Key == "" {
				add("scope: a key of the %s is empty", level)
			}
			if i > 0 && conditions[i-1].Key == c.Key {
				add("scope: %s.%s is given twice", level, c.Key)
			}
		}
	}
	scope(LevelResource, e.Resource)
	scope(LevelPoint, e.Point)
	switch e.Unit {
	case UnitNone, UnitResource, UnitSeries, UnitTrace:
	case UnitAttribute:
		if e.UnitAttribute.Key == "" {
			add("attribute: must not be empty with unit: %s", UnitAttribute)
		}
		switch e.UnitAttribute.Level {
		case LevelAny, LevelResource, LevelScope, LevelPoint:
		default:
			add("attribute: there is no level %q", e.UnitAttribute.Level)
		}
	default:
		add("unit: must be %s, %s, %s or %s, got %q", UnitResource, UnitSeries, UnitAttribute, UnitTrace, e.Unit)
	}
	return errs
}

// sorted returns the conditions in the order of their keys.
func sorted(conditions []Attribute) []Attribute {
	conditions = slices.Clone(conditions)
	slices.SortStableFunc(conditions, func(a, b Attribute) int { return strings.Compare(a.Key, b.Key) })
	return conditions
}

// before is the order in which experiments win.
func before(a, b Experiment) int {
	return cmp.Or(cmp.Compare(a.Rank, b.Rank), strings.Compare(a.ID, b.ID))
}

// text is a value as conditions and units compare it. Only what is no string is
// formatted.
func text(v pcommon.Value) string {
	if v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return v.AsString()
}
