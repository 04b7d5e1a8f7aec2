package abrouterconnector

// tally counts what the experiments of one batch gave to which arm. It is used by
// one goroutine and may be used again after reset.
type tally struct {
	rows []tallyRow
	// places are those of routes in rows, plus one, by routing.Experiment.Tag. It
	// is used only when there is more than one row.
	places []int32
	routes []*route // of candidates
}

// tallyRow is what one experiment gave to the arms.
type tallyRow struct {
	route  *route
	tag    int
	points [sides]int
}

// add counts points of the experiment with this tag in a view.
func (t *tally) add(v *view, tag int, to side, points int) {
	t.row(v, tag).points[to] += points
}

func (t *tally) row(v *view, tag int) *tallyRow {
	if n := len(t.rows); n > 0 && t.rows[n-1].tag == tag {
		return &t.rows[n-1]
	}
	if len(t.places) < len(v.routes) {
		t.places = append(t.places, make([]int32, len(v.routes)-len(t.places))...)
	}
	if place := t.places[tag]; place > 0 {
		return &t.rows[place-1]
	}
	t.rows = append(t.rows, tallyRow{route: v.routes[tag], tag: tag})
	t.places[tag] = int32(len(t.rows)) //nolint:gosec // the routes of a view
	return &t.rows[len(t.rows)-1]
}

// reset forgets all and keeps the memory.
func (t *tally) reset() {
	for i := range t.rows {
		t.places[t.rows[i].tag] = 0
		t.rows[i].route = nil
	}
	t.rows = t.rows[:0]
	clear(t.routes[:cap(t.routes)])
}

// total is what an arm was given.
func (t *tally) total(of side) (points int) {
	for i := range t.rows {
		points += t.rows[i].points[of]
	}
	return points
}

// candidates returns the experiments that gave something to their candidate. The
// slice is the tally's.
func (t *tally) candidates() []*route {
	t.routes = t.routes[:0]
	for i := range t.rows {
		if t.rows[i].points[toCandidate] > 0 {
			t.routes = append(t.routes, t.rows[i].route)
		}
	}
	return t.routes
}
