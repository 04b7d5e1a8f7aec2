// Package fidelity runs the user's own rules and dashboards on both arms of an
// experiment and says which of them answer differently.
//
//	rule files, dashboards, queries ── Parse ──▶ Plan ─┐
//	tap of the baseline ──┐ names and labels as        ▼
//	tap of the candidate ─┴─ Prometheus makes ──▶ two TSDB heads ── Look ──▶ experiment.FidelityVerdict
//
// The heads and the engine are those of Prometheus, and so are rule groups with
// their order, stale markers, for and keep_firing_for. README.md says when two
// answers count as the same, and why.
package fidelity
