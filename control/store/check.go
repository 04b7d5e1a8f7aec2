package store

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is stored, in bytes.
const (
	MaxName  = 253     // names, ids and keys
	MaxText  = 1024    // what identifies a principal, a place, a reason
	MaxBlob  = 1 << 20 // specifications, values and answers
	MaxScope = 128     // entries of a list of scopes or namespaces

	maxDetail = 32
)

// CheckName says why a name, id or key cannot be stored: it has 1 to MaxName
// bytes of UTF-8 without control characters. Slashes are for keys only.
func CheckName(field, s string, slashes bool) error {
	switch {
	case s == "":
		return &InvalidError{field, "is empty"}
	case len(s) > MaxName:
		return &InvalidError{field, fmt.Sprintf("has %d bytes, more than %d", len(s), MaxName)}
	case !slashes && strings.Contains(s, "/"):
		return &InvalidError{field, "has a slash"}
	}
	return checkRunes(field, s)
}

func checkText(field, s string, required bool) error {
	switch {
	case s == "" && required:
		return &InvalidError{field, "is empty"}
	case len(s) > MaxText:
		return &InvalidError{field, fmt.Sprintf("has %d bytes, more than %d", len(s), MaxText)}
	}
	return checkRunes(field, s)
}

// checkRunes refuses what databases or terminals choke on. U+10FFFF, which is no
// character, is the end of a range of names.
func checkRunes(field, s string) error {
	if !utf8.ValidString(s) {
		return &InvalidError{field, "is not UTF-8"}
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == utf8.MaxRune }) {
		return &InvalidError{field, "has a control character"}
	}
	return nil
}

// checkProse allows lines.
func checkProse(field, s string) error {
	switch {
	case len(s) > MaxText:
		return &InvalidError{field, fmt.Sprintf("has %d bytes, more than %d", len(s), MaxText)}
	case !utf8.ValidString(s):
		return &InvalidError{field, "is not UTF-8"}
	case strings.Contains(s, "\x00"):
		return &InvalidError{field, "has a NUL"}
	}
	return nil
}

func checkBlob(field string, b []byte) error {
	if len(b) > MaxBlob {
		return &InvalidError{field, fmt.Sprintf("has %d bytes, more than %d", len(b), MaxBlob)}
	}
	return nil
}

func checkCondition(r Revision) error {
	if r < Any {
		return &InvalidError{"if", fmt.Sprintf("%d is no revision", r)}
	}
	return nil
}

func checkList(field string, list []string) error {
	if len(list) > MaxScope {
		return &InvalidError{field, fmt.Sprintf("has %d entries, more than %d", len(list), MaxScope)}
	}
	var errs error
	for i, s := range list {
		errs = errors.Join(errs, checkText(fmt.Sprintf("%s[%d]", field, i), s, true))
	}
	return errs
}

// Check says why there can be no such policy.
func (k PolicyKey) Check() error {
	return errors.Join(CheckName("namespace", k.Namespace, false), CheckName("name", k.Name, false))
}

// Check says why a policy cannot be in this state.
func (s PolicyState) Check() error {
	switch s {
	case StateDraft, StatePreview, StateEnforced, StateDisabled:
		return nil
	case StateDeleted:
	}
	return &InvalidError{"state", fmt.Sprintf("%q is none of draft, preview, enforced, disabled", s)}
}

// Check says why the policy cannot be stored.
func (p NewPolicy) Check() error {
	errs := errors.Join(p.PolicyKey.Check(), p.State.Check(), checkBlob("spec", p.Spec))
	if p.RolledBackTo < 0 {
		errs = errors.Join(errs, &InvalidError{"rolled_back_to", fmt.Sprintf("%d is no revision", p.RolledBackTo)})
	}
	return errs
}

// Check says why the update cannot be done.
func (u PolicyUpdate) Check() error {
	errs := errors.Join(u.PolicyKey.Check(), checkCondition(u.If), checkBlob("spec", u.Spec))
	if u.State != "" {
		errs = errors.Join(errs, u.State.Check())
	}
	return errs
}

// Check says why the rollback cannot be done.
func (r PolicyRollback) Check() error {
	errs := errors.Join(r.PolicyKey.Check(), checkCondition(r.If))
	if r.To < 1 {
		errs = errors.Join(errs, &InvalidError{"to", fmt.Sprintf("%d is no revision", r.To)})
	}
	if r.State != "" {
		errs = errors.Join(errs, r.State.Check())
	}
	return errs
}

// Check says why the kill switch cannot be turned so.
func (u KillSwitchUpdate) Check() error { return checkProse("reason", u.Reason) }

// Check says why there can be no such experiment.
func (k ExperimentKey) Check() error {
	return errors.Join(CheckName("namespace", k.Namespace, false), CheckName("name", k.Name, false))
}

// Check says why the experiment cannot be stored.
func (n NewExperiment) Check() error {
	return errors.Join(n.ExperimentKey.Check(), CheckName("phase", n.Phase, false), checkBlob("spec", n.Spec), checkBlob("state", n.State))
}

// Check says why the update cannot be done.
func (u ExperimentUpdate) Check() error {
	errs := errors.Join(u.ExperimentKey.Check(), checkCondition(u.If), checkText("promoted_policy", u.PromotedPolicy, false),
		checkBlob("spec", u.Spec), checkBlob("state", u.State), checkBlob("evidence", u.Evidence))
	if u.Phase != "" {
		errs = errors.Join(errs, CheckName("phase", u.Phase, false))
	}
	return errs
}

// Check says why the state cannot be saved.
func (s ExperimentState) Check() error {
	return errors.Join(s.ExperimentKey.Check(), checkCondition(s.If), checkBlob("state", s.State), checkBlob("evidence", s.Evidence))
}

// Check says why the price model cannot be stored.
func (u PriceModelUpdate) Check() error {
	return errors.Join(CheckName("name", u.Name, false), checkCondition(u.If), checkBlob("spec", u.Spec))
}

// Check says why the key cannot be stored.
func (k NewAPIKey) Check() error {
	errs := errors.Join(
		CheckName("id", k.ID, false),
		checkText("name", k.Name, false),
		checkList("scopes", k.Scopes),
		checkList("namespaces", k.Namespaces),
	)
	if k.Hash.IsZero() {
		errs = errors.Join(errs, &InvalidError{"hash", "is missing"})
	}
	return errs
}

// Check says why the fact cannot be stored.
func (u FactUpdate) Check() error {
	return errors.Join(CheckName("key", u.Key, true), checkCondition(u.If), checkBlob("value", u.Value))
}

// Check says why there can be no answer under this key.
func (k IdempotencyKey) Check() error {
	return errors.Join(checkText("principal", k.Principal, true), CheckName("key", k.Key, true))
}

// Check says why the answer cannot be stored.
func (r Response) Check() error {
	return errors.Join(r.IdempotencyKey.Check(), checkBlob("body", r.Body))
}

// Check says why the sample cannot be stored.
func (s Sample) Check() error {
	errs := errors.Join(CheckName("kind", s.Kind, true), CheckName("key", s.Key, true))
	if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
		errs = errors.Join(errs, &InvalidError{"value", fmt.Sprintf("%v of %s %s is not finite", s.Value, s.Kind, s.Key)})
	}
	return errs
}

// Check says why the question cannot be answered.
func (q HistoryQuery) Check() error {
	if q.Step != FineStep && q.Step != CoarseStep {
		return &InvalidError{"step", fmt.Sprintf("must be %s or %s, got %s", FineStep, CoarseStep, q.Step)}
	}
	return nil
}

// Limit returns the size of the page, or why there is no such page.
func (p PageRequest) Limit() (int, error) {
	switch {
	case p.Size == 0:
		return DefaultPageSize, nil
	case p.Size < 0 || p.Size > MaxPageSize:
		return 0, &InvalidError{"page_size", fmt.Sprintf("must be between 1 and %d, got %d", MaxPageSize, p.Size)}
	}
	return p.Size, nil
}
