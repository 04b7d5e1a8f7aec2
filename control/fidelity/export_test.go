package fidelity

// Queries shows those that can be judged.
func (p *Plan) Queries() []string {
	var list []string
	for _, q := range p.queries {
		if q.unable == "" {
			list = append(list, q.name+": "+q.expr)
		}
	}
	return list
}

// Samples are what both heads hold: series, samples, refused, late and repeated
// ones.
func (j *Judge) Samples() (counts [2][5]int64) {
	for i, a := range j.arms {
		a.mu.Lock()
		counts[i] = [5]int64{int64(a.head.NumSeries()), a.samples + a.natives, int64(a.refused), int64(a.late), int64(a.again)}
		a.mu.Unlock()
	}
	return counts
}

// Taken counts the samples that came into both heads or wait for them, but for
// target_info.
func (j *Judge) Taken() (n int64) {
	for _, a := range j.arms {
		a.mu.Lock()
		n += a.taken
		a.mu.Unlock()
	}
	return n
}
