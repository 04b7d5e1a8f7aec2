package policies

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Bounds of a policy.
const (
	maxName     = 63 // bytes of a name, or of a namespace
	maxRules    = 64
	maxSpec     = 64 << 10 // bytes as JSON
	maxPriority = 1000
	maxRuleName = 128 // bytes, with namespace and policy: it becomes an attribute of metrics
	// maxMistakes and maxMistake bound what an answer says is wrong.
	maxMistakes = 100
	maxMistake  = 512
)

var (
	nameForm      = regexp.MustCompile(`^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$`)
	namespaceForm = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$`)
)

// mistakes collects all that is wrong with a request.
type mistakes struct{ list []fault.Violation }

func (m *mistakes) add(field, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxMistake {
		text = strings.ToValidUTF8(text[:maxMistake], "") + "…"
	}
	m.list = append(m.list, fault.Violation{Field: field, Description: text})
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

// draft is a policy that somebody wants to have, checked.
type draft struct {
	key  store.PolicyKey
	spec publish.Spec
	// text is the specification as it is stored.
	text []byte
}

// check reads a policy of a request, all mistakes at once. What the server sets
// is not looked at, so that what was read can be changed and sent back.
func (s *Service) check(p *phoenixv1.Policy) (draft, error) {
	var m mistakes
	d := draft{key: key(p.GetNamespace(), p.GetName())}
	checkNames(&m, d.key)
	spec := p.GetSpec()
	switch {
	case spec == nil:
		m.add("policy.spec", "must be given")
		return d, m.err()
	case proto.Size(spec) > 2*maxSpec: // not worth a look
		m.add("policy.spec", "must not be longer than %d bytes as JSON", maxSpec)
		return d, m.err()
	}
	d.spec = publish.Spec{Description: spec.GetDescription(), Priority: int(spec.GetPriority())}
	if d.spec.Priority < -maxPriority || d.spec.Priority > maxPriority {
		m.add("policy.spec.priority", "must be between %d and %d, got %d", -maxPriority, maxPriority, d.spec.Priority)
	}
	if n := len(spec.GetRules()) + len(spec.GetSampling()); n < 1 || n > maxRules {
		m.add("policy.spec.rules", "must have 1 to %d entries, together with sampling, got %d", maxRules, n)
		return d, m.err()
	}
	d.spec.Rules = []policy.Rule{}
	for i, r := range spec.GetRules() {
		d.spec.Rules = append(d.spec.Rules, m.rule(fmt.Sprintf("policy.spec.rules[%d]", i), r))
	}
	for _, r := range spec.GetSampling() {
		d.spec.Sampling = append(d.spec.Sampling, samplingRule(r))
	}
	s.checkRules(&m, d)
	if err := m.err(); err != nil {
		return d, err
	}
	var err error
	if d.text, err = publish.EncodeSpec(d.spec); err != nil {
		return d, err
	}
	if len(d.text) > maxSpec {
		m.add("policy.spec", "must not be longer than %d bytes as JSON, got %d", maxSpec, len(d.text))
	}
	return d, m.err()
}

func checkNames(m *mistakes, k store.PolicyKey) {
	if err := access.CheckNamespace(k.Namespace); err != nil {
		m.add("policy.namespace", "%s", err)
	} else if len(k.Namespace) > maxName || !namespaceForm.MatchString(k.Namespace) {
		m.add("policy.namespace", "must consist of at most %d letters, digits, - . and _, and begin and end with a letter or digit, got %q",
			maxName, k.Namespace)
	}
	switch {
	case k.Name == "":
		m.add("policy.name", "must not be empty")
	case len(k.Name) > maxName || !nameForm.MatchString(k.Name):
		m.add("policy.name", "must consist of at most %d small letters, digits, - . and _, and begin and end with a letter or digit, got %q",
			maxName, k.Name)
	}
}

// checkRules finds what policy finds wrong with the rules, by themselves and as
// they are published.
func (s *Service) checkRules(m *mistakes, d draft) {
	rules := make([]policy.Rule, len(d.spec.Rules))
	named := true
	for i, r := range d.spec.Rules {
		r.Name, r.Role = cmp.Or(r.Name, publish.DefaultRuleName(i)), cmp.Or(r.Role, policy.RoleCommon)
		rules[i] = r
		if full := publish.RuleName(d.key, r.Name); len(full) > maxRuleName && len(r.Name) <= maxRuleName {
			m.add(fmt.Sprintf("policy.spec.rules[%d].name", i), "must not be longer than %d bytes together with namespace and policy, got %q",
				maxRuleName, full)
			named = false
		}
	}
	found := policy.AsErrors(policy.ValidateRules(rules))
	for _, e := range found {
		m.add("policy.spec."+e.Path, "%s", e.Problem)
	}
	if !checkSampling(m, d) || len(found) > 0 || !named || len(m.list) > 0 {
		return
	}
	compiled, err := s.compiler().Compile(d.key, store.StateEnforced, d.spec)
	for _, e := range slices.Concat(policy.AsErrors(err), compiled.Unpriced) {
		m.add("policy.spec."+e.Path, "%s", e.Problem)
	}
}

// compiler makes of specifications what the publisher does.
func (s *Service) compiler() publish.Compiler {
	return publish.Compiler{NamespaceAttribute: s.settings.NamespaceAttribute, Prices: s.settings.Publisher.Prices()}
}
