package relabel

import (
	"cmp"
	"slices"
	"strings"
)

// candidate is what may fold next: a column, or several that only save
// something together.
type candidate struct {
	columns []int
	values  int // distinct ones of the first column
	saving  int // outputs
}

// next chooses what folds next. Nil: there is nothing.
func (f *Folder) next() []Ref {
	f.columns.fold(f.mark(f.steps), maxExamined)
	if f.settings.Order != nil {
		return f.nextInOrder()
	}
	var list []candidate
	n := f.columns.without()
	for i, at := range f.columns.keys {
		// A key that reads as a glob cannot be named.
		if f.gone[i] || isIdentity(at.domain, at.key) || f.protect.has(at.domain, at.key) || at.ref().checkLiteral() != nil {
			continue
		}
		if values := f.columns.values(i, i); values > 1 {
			list = append(list, candidate{[]int{i}, values, n - f.columns.without(i)})
		}
	}
	if len(list) == 0 {
		return nil
	}
	list = append(list, f.groups(list, n)...)
	best := slices.MinFunc(list, f.better)
	refs := make([]Ref, 0, len(best.columns))
	for _, i := range best.columns {
		refs = append(refs, f.columns.keys[i].ref())
	}
	return refs
}

// better sorts by the saving, then by the number of attributes, then by that of
// values: where none saves anything alone, the one with the most values is the
// likeliest to make another save. Names come last, so that arrival does not
// decide.
func (f *Folder) better(a, b candidate) int {
	at, other := f.columns.keys[a.columns[0]], f.columns.keys[b.columns[0]]
	return cmp.Or(
		cmp.Compare(b.saving, a.saving), cmp.Compare(len(a.columns), len(b.columns)), cmp.Compare(b.values, a.values),
		cmp.Compare(at.domain, other.domain), strings.Compare(at.key, other.key),
	)
}

// groups finds attributes that name the same thing, such as pod, pod_uid and
// instance: one alone saves nothing, and all of them much. Two do if there are
// hardly more pairs of their values than values of either.
func (f *Folder) groups(list []candidate, n int) []candidate {
	const (
		little = 0.05 // of the outputs is the most that a member saves alone
		same   = 1.05 // times as many pairs as values
	)
	var groups []candidate
	grouped := make([]bool, len(list))
	for i, a := range list {
		if grouped[i] || float64(a.saving) > little*float64(n) {
			continue
		}
		group := candidate{columns: slices.Clone(a.columns), values: a.values}
		for j := i + 1; j < len(list); j++ {
			b := list[j]
			most := same * float64(min(a.values, b.values))
			if grouped[j] || float64(b.saving) > little*float64(n) || float64(max(a.values, b.values)) > most {
				continue
			}
			if float64(f.columns.values(a.columns[0], b.columns[0])) <= most {
				group.columns = append(group.columns, b.columns[0])
				grouped[j] = true
			}
		}
		if len(group.columns) > 1 {
			group.saving = n - f.columns.without(group.columns...)
			groups = append(groups, group)
		}
	}
	return groups
}

// nextInOrder skips what has one value, or none: it cannot save anything now and
// gets its turn when it can.
func (f *Folder) nextInOrder() []Ref {
	for _, r := range f.settings.Order {
		for i, at := range f.columns.keys {
			if !f.gone[i] && r.names(at.domain, at.key) && !f.protect.has(at.domain, at.key) && f.columns.values(i, i) > 1 {
				return []Ref{r}
			}
		}
	}
	return nil
}
