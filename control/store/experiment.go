package store

import (
	"context"
	"time"
)

// ExperimentReader reads experiments.
type ExperimentReader interface {
	GetExperiment(context.Context, ExperimentKey) (Experiment, error)
	// ListExperiments is sorted by namespace, then name. It leaves out the
	// evidence, which may be large.
	ListExperiments(context.Context, ExperimentQuery) (Page[Experiment], error)
	// ActiveExperiments returns all that are active at one moment, sorted by
	// namespace, then name.
	ActiveExperiments(context.Context) ([]Experiment, error)
}

// ExperimentWriter changes experiments. A change that changes nothing makes no
// revision; it leaves its audit entry.
type ExperimentWriter interface {
	// CreateExperiment fails with ErrExists if there is one. It is not active.
	CreateExperiment(context.Context, NewExperiment, Entry) (Experiment, error)
	UpdateExperiment(context.Context, ExperimentUpdate, Entry) (Experiment, error)
	DeleteExperiment(ctx context.Context, key ExperimentKey, condition Revision, entry Entry) error
}

// ExperimentRecorder writes what looks at experiments found.
type ExperimentRecorder interface {
	// SaveExperimentStates writes the states of many experiments in one
	// transaction. It makes no revisions and leaves no audit entries. The
	// experiments that have another revision, or are gone, stay as they are and
	// are returned.
	SaveExperimentStates(context.Context, []ExperimentState) (stale []ExperimentKey, err error)
}

// ExperimentKey names an experiment.
type ExperimentKey struct {
	// Namespace and Name have 1 to 253 bytes and no slash.
	Namespace, Name string
}

// Resource is how the audit log and errors call the experiment.
func (k ExperimentKey) Resource() string { return "experiments/" + k.Namespace + "/" + k.Name }

// Experiment is an experiment as it is now.
type Experiment struct {
	ExperimentKey
	// Spec is what the caller gave, at most 1 MiB; SpecSHA256 its hash.
	Spec       []byte
	SpecSHA256 Digest
	// State is where the experiment stands and Evidence what was found so far,
	// each at most 1 MiB. The store looks into neither.
	State, Evidence []byte
	// Phase is the name of the phase, for lists; the store attaches no meaning to
	// it.
	Phase string
	// Active says whether ActiveExperiments has it.
	Active bool
	// Revision is the number of the audit entry of the last change.
	Revision Revision
	// PromotedPolicy is the policy that it became, such as policies/shop/drop-pod.
	// Empty: none.
	PromotedPolicy string
	// UpdatedAt and UpdatedBy are of the last revision; saving a state by itself
	// is none.
	CreatedAt, UpdatedAt time.Time
	CreatedBy, UpdatedBy string
}

// Digest is the hash by which the audit log knows this state of the experiment.
// It covers state and evidence: what led to a decision cannot be changed later
// without a trace. As they are also saved between the entries of the log, one
// entry need not begin where the one before it ended.
func (e Experiment) Digest() Digest {
	return digestOf(object{
		"kind": "experiment", "namespace": e.Namespace, "name": e.Name, "phase": e.Phase, "active": e.Active,
		"spec_sha256": e.SpecSHA256.String(), "state_sha256": SumSHA256(e.State).String(),
		"evidence_sha256": SumSHA256(e.Evidence).String(), "promoted_policy": e.PromotedPolicy,
	})
}

// NewExperiment is an experiment to be created.
type NewExperiment struct {
	ExperimentKey
	Spec, State []byte
	Phase       string
}

// ExperimentUpdate changes an experiment.
type ExperimentUpdate struct {
	ExperimentKey
	// If is the revision that the experiment must have, or Any.
	If Revision
	// Spec, State and Evidence default: stay.
	Spec, State, Evidence []byte
	// Phase, Active and PromotedPolicy default: stay.
	Phase          string
	Active         *bool
	PromotedPolicy string
}

// ExperimentState is what a look at an experiment found.
type ExperimentState struct {
	ExperimentKey
	// If is the revision that the experiment must have, or Any.
	If Revision
	// State and Evidence default: stay.
	State, Evidence []byte
}

// ExperimentQuery selects experiments. Everything that is given must hold.
type ExperimentQuery struct {
	// Namespaces and Phases are the only ones looked at. Default: all. An empty
	// list that is not nil selects none.
	Namespaces, Phases []string
	// NamePrefix is the beginning of the name.
	NamePrefix string
	PageRequest
}
