package experiments

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/fidelity"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Bounds of an experiment. Those of names and rules are the ones of policies: a
// promotion makes one of the same name.
const (
	maxName  = 63 // bytes of a name, or of a namespace
	maxRules = 64
	// maxSpec is in bytes as JSON: an answer with it can be kept for an
	// Idempotency-Key.
	maxSpec = store.MaxBlob - 64<<10
	// maxPolicy bounds the rules of a promotion, in bytes as JSON.
	maxPolicy = 64 << 10
	maxReason = store.MaxText
	// maxMistakes and maxMistake bound what an answer says is wrong.
	maxMistakes = 100
	maxMistake  = 512
)

var (
	nameForm      = regexp.MustCompile(`^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$`)
	namespaceForm = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$`)
)

// specPath is where the specification stands in a request.
const specPath = "experiment.spec"

// mistakes collects all that is wrong with a request.
type mistakes struct {
	list []fault.Violation
	// unread are the paths of what could not be read, so that nothing else can be
	// said of it.
	unread []string
}

func (m *mistakes) add(field, format string, args ...any) {
	m.list = append(m.list, fault.Violation{Field: field, Description: clip(fmt.Sprintf(format, args...))})
}

// knows says whether something was said of a field already, or it is a part of
// what could not be read.
func (m *mistakes) knows(field string) bool {
	for _, path := range m.unread {
		if rest, below := strings.CutPrefix(field, path); below && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return slices.ContainsFunc(m.list, func(v fault.Violation) bool { return v.Field == field })
}

// err is nil if there is no mistake.
func (m *mistakes) err() error {
	if len(m.list) == 0 {
		return nil
	}
	f := fault.New(fault.Invalid, "the request is not accepted")
	if more := len(m.list) - maxMistakes; more > 0 {
		f.Detail = fmt.Sprintf("the request is not accepted; %d more mistakes are not listed", more)
		m.list = m.list[:maxMistakes]
	}
	f.Violations = m.list
	return f
}

// clip bounds what an answer repeats.
func clip(text string) string {
	if len(text) > maxMistake {
		return strings.ToValidUTF8(text[:maxMistake], "") + "…"
	}
	return text
}

// draft is an experiment that somebody wants to have, checked.
type draft struct {
	key  store.ExperimentKey
	spec experiment.Spec
	// text is the specification as it is stored.
	text []byte
}

// check reads an experiment of a request, all mistakes at once. What the server
// sets is not looked at, so that what was read can be changed and sent back.
func (s *Service) check(w *phoenixv1.Experiment) (draft, error) {
	var m mistakes
	d := draft{key: keyOf(w.GetNamespace(), w.GetName())}
	m.names(d.key)
	switch {
	case w.GetSpec() == nil:
		m.add(specPath, "must be given")
		return d, m.err()
	case proto.Size(w.GetSpec()) > 2*maxSpec: // not worth a look
		m.add(specPath, "must not be longer than %d bytes as JSON", maxSpec)
		return d, m.err()
	}
	id := idOf(d.key)
	if len(m.list) > 0 {
		id = "default/unnamed" // what is wrong with the name is said
	}
	d.spec = m.spec(specPath, w.GetSpec())
	d.spec.ID = id
	m.queries(&d.spec)
	before := mistakes{list: m.list, unread: m.unread}
	for _, e := range policy.AsErrors(d.spec.Validate()) {
		// A rule gets its scope from the experiment's, which is at fault then.
		at, derived := specPath+"."+e.Path, strings.Contains(e.Path, "].experiment.scope")
		if !derived && !before.knows(at) {
			m.add(at, "%s", e.Problem)
		}
	}
	s.checkNamespace(&m, d)
	if err := m.err(); err != nil {
		return d, err
	}
	s.checkPromotion(&m, d)
	var err error
	if d.text, err = encode(d.spec); err != nil {
		return d, err
	}
	if len(d.text) > maxSpec {
		m.add(specPath, "must not be longer than %d bytes as JSON, got %d", maxSpec, len(d.text))
	}
	return d, m.err()
}

func (m *mistakes) names(k store.ExperimentKey) {
	if err := access.CheckNamespace(k.Namespace); err != nil {
		m.add("experiment.namespace", "%s", err)
	} else if len(k.Namespace) > maxName || !namespaceForm.MatchString(k.Namespace) {
		m.add("experiment.namespace", "must consist of at most %d letters, digits, - . and _, and begin and end with a letter or digit, got %q",
			maxName, k.Namespace)
	}
	switch {
	case k.Name == "":
		m.add("experiment.name", "must not be empty")
	case len(k.Name) > maxName || !nameForm.MatchString(k.Name):
		m.add("experiment.name", "must consist of at most %d small letters, digits, - . and _, and begin and end with a letter or digit, got %q",
			maxName, k.Name)
	}
}

// queries parses the user's queries and fills in how far back they look.
func (m *mistakes) queries(spec *experiment.Spec) {
	if spec.Fidelity == nil {
		return
	}
	plan, err := fidelity.Parse(*spec.Fidelity)
	if err != nil {
		for _, e := range policy.AsErrors(err) {
			m.add(specPath+".fidelity."+e.Path, "%s", e.Problem)
		}
		return
	}
	spec.Fidelity.LongestRange, spec.Fidelity.LongestFor = plan.LongestRange(), plan.LongestFor()
}

// checkNamespace keeps an experiment to the telemetry of its namespace.
func (s *Service) checkNamespace(m *mistakes, d draft) {
	attribute := s.settings.NamespaceAttribute
	if attribute == "" || d.key.Namespace == publish.DefaultNamespace {
		return
	}
	for _, name := range []string{attribute, "resource." + attribute} {
		if d.spec.Scope[name] == d.key.Namespace {
			return
		}
	}
	m.add(specPath+".scope", "must have %q: %q, which keeps the experiment to its namespace", "resource."+attribute, d.key.Namespace)
}

// checkPromotion looks whether the policy can be made that a promotion makes.
func (s *Service) checkPromotion(m *mistakes, d draft) {
	rules := d.spec.PromotedRules()
	for i := range rules {
		rules[i].Name, rules[i].Mode = strings.TrimPrefix(rules[i].Name, d.spec.ID+"/"), ""
	}
	promoted := publish.Spec{Rules: rules}
	if len(rules) == 0 {
		return // it compares pipelines as they are configured
	}
	_, err := publish.CompileSpec(store.PolicyKey(d.key), store.StateEnforced, promoted, s.settings.NamespaceAttribute)
	for _, e := range policy.AsErrors(err) {
		m.add(specPath+"."+e.Path, "%s", e.Problem)
	}
	if text, err := publish.EncodeSpec(promoted); err == nil && len(text) > maxPolicy {
		m.add(specPath+".rules", "must not be longer than %d bytes as the policy that a promotion makes, got %d", maxPolicy, len(text))
	}
}

// encode returns the specification as it is stored.
func encode(spec experiment.Spec) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(spec); err != nil {
		return nil, fmt.Errorf("encode the specification of an experiment: %w", err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}
