package insight

// Forget makes the next answers wait for new reports.
func (s *Services) Forget() {
	in := s.insight
	in.reports.mu.Lock()
	clear(in.reports.kinds)
	in.reports.mu.Unlock()
	in.labels.mu.Lock()
	clear(in.labels.kept)
	in.labels.mu.Unlock()
	in.applied.forget()
	in.models.active.forget()
	in.forecasts.last.forget()
}
