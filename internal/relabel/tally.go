package relabel

// tally counts the outputs that there are under the folds of a Folder, exactly
// and in constant time for each that comes and goes: to count all rows anew at
// each would take a millisecond at the largest bounds.
//
// When the Folder's rows are taken, those that are one of several for an output
// make room for outputs that have none. Where there are more outputs than rows,
// the others count without one, up to the first that is too many.
type tally struct {
	folder *Folder
	gone   []bool            // by column: the folds take it
	rows   map[uint64]uint32 // how many rows there are, by identity under the folds; without folds, none
	// passing has, by identity under the folds, when outputs without a row were
	// seen that no row has.
	passing map[uint64]uint64
}

func newTally(f *Folder) *tally {
	t := &tally{folder: f}
	t.rebuild()
	return t
}

// rebuild counts anew, after the folds changed. Who passes will come again.
func (t *tally) rebuild() {
	t.gone, t.rows, t.passing = nil, map[uint64]uint32{}, map[uint64]uint64{}
	for row := range t.folder.columns.whole {
		if t.folder.columns.live[row] > 0 {
			t.join(uint32(row))
		}
	}
}

// outputs is how many there are.
func (t *tally) outputs() int {
	if len(t.folder.steps) == 0 {
		return t.folder.columns.len() + len(t.passing)
	}
	return len(t.rows) + len(t.passing)
}

// join counts a row that is new.
func (t *tally) join(row uint32) {
	id := t.identity(row)
	delete(t.passing, id)
	if len(t.folder.steps) > 0 {
		t.rows[id]++
	}
}

// leave takes out a row that is about to go.
func (t *tally) leave(row uint32) {
	if len(t.folder.steps) == 0 {
		return
	}
	id := t.identity(row)
	if t.rows[id]--; t.rows[id] == 0 {
		delete(t.rows, id)
	}
}

// folded is the identity under the folds of an output that is described as for
// Folder.Join.
func (t *tally) folded(base uint64, labels []Label) uint64 {
	for i := range labels {
		c := t.folder.columns.column(labels[i].Domain, labels[i].Key)
		if c < 0 || !t.goes(c) {
			base += labels[i].Hash
		}
	}
	return base
}

// pass counts an output without a row by its identity under the folds.
func (t *tally) pass(id, now uint64) {
	_, known := t.passing[id]
	if t.rows[id] == 0 && (known || t.outputs() <= t.folder.settings.MaxSeries) {
		t.passing[id] = now
	}
}

// spare returns a row without which the output of this identity under the folds
// would have one, and no output would lose its only one. At least every other
// row is such a one where there are twice as many rows as the limit, so that a
// few tries find it.
func (t *tally) spare(id uint64) (row uint32, ok bool) {
	c := t.folder.columns
	if len(t.rows) == 0 || t.rows[id] > 0 {
		return 0, false
	}
	for try := range uint64(16) {
		row = uint32((id + try*0x9e3779b97f4a7c15) % uint64(len(c.whole))) //nolint:gosec // bounded
		if c.live[row] == 1 && t.rows[t.identity(row)] > 1 {
			return row, true
		}
	}
	return 0, false
}

// expire forgets who passed before a time.
func (t *tally) expire(oldest uint64) {
	for id, seen := range t.passing {
		if seen < oldest {
			delete(t.passing, id)
		}
	}
}

// identity is that of a row under the folds.
func (t *tally) identity(row uint32) uint64 {
	c := t.folder.columns
	id := c.whole[row]
	for i := range c.keys {
		if t.goes(i) {
			id -= c.parts[i][row]
		}
	}
	return id
}

// goes says whether the folds take a column, also one that came since.
func (t *tally) goes(column int) bool {
	for i := len(t.gone); i <= column; i++ {
		t.gone = append(t.gone, t.folder.takes(t.folder.steps, t.folder.columns.keys[i]))
	}
	return t.gone[column]
}
