package access

import (
	"fmt"
	"strings"
)

// Outcome is what was decided.
type Outcome string

// The outcomes.
const (
	Allowed         Outcome = "allowed"
	Unauthenticated Outcome = "unauthenticated"
	Forbidden       Outcome = "forbidden"
	NotFound        Outcome = "not_found"
)

var outcomeErrors = map[Outcome]error{
	Unauthenticated: ErrUnauthenticated,
	Forbidden:       ErrForbidden,
	NotFound:        ErrNotFound,
}

// Decision says whether somebody may do something, and why.
type Decision struct {
	Outcome Outcome
	// Caller is fit for whoever asked: what they need, and nothing about objects
	// that they do not see. Empty if it is allowed.
	Caller string
	// Audit says by which grant it was allowed, or what was missing.
	Audit string
}

// Allowed says whether it may be done.
func (d Decision) Allowed() bool { return d.Outcome == Allowed }

// Err is nil if it may be done, otherwise a *Refusal.
func (d Decision) Err() error {
	if d.Allowed() {
		return nil
	}
	kind := outcomeErrors[d.Outcome]
	if kind == nil {
		kind = ErrForbidden // the zero Decision allows nothing
	}
	return &Refusal{Kind: kind, Caller: d.Caller, Audit: d.Audit}
}

// Guard recognises principals and decides what they may do. It is immutable, so
// that it may be used by many goroutines.
type Guard struct {
	bindings []Binding
	identity IdentityConfig
	claims   []string // those that bindings ask for
}

// New returns the guard of a configuration, which must be valid.
func New(cfg Config) (*Guard, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	cfg = cfg.clone()
	return &Guard{
		bindings: withDefaults(cfg.Bindings),
		identity: cfg.Identity,
		claims:   claimsOf(cfg.Bindings),
	}, nil
}

// Grants returns what a principal holds: an API key, and the control plane
// itself, what it was made with, everybody else what the bindings say.
func (g *Guard) Grants(p Principal) Grants {
	if p.Kind == KindAPIKey || p.Kind == KindSystem {
		return p.grants
	}
	var held Grants
	for _, b := range g.bindings {
		if b.matches(p) {
			for _, namespace := range b.Namespaces {
				held = append(held, Grant{Role: b.Role, Namespace: namespace, Source: b.Name})
			}
		}
	}
	return held
}

// Authorize decides whether a principal may do something to a resource of a
// namespace. The namespace is empty for what has none. It does not know whether
// the object exists, and must be asked before that is looked up.
//
// To list and to watch without a namespace is allowed if the principal sees
// anything at all: what it then gets must be restricted to Visible.
func (g *Guard) Authorize(p Principal, v Verb, r Resource, namespace string) Decision {
	if p.Kind == "" {
		return Decision{Outcome: Unauthenticated, Caller: noCredentials, Audit: noCredentials}
	}
	q := question{name: p.Name(), grants: g.Grants(p), action: action{resource: r, verb: v}, namespace: namespace}
	needed, known := permissionOf[q.action]
	switch {
	case !known:
		return q.refuse("nobody may", "there is no such permission")
	case len(q.grants) == 0:
		return q.refuse(q.name+" has no role: ask an administrator to bind one", "it has no role")
	case needed.Reach == ReachAny, needed.Reach == ReachOwn && namespace == "" && (v == List || v == Watch):
		return q.decide(needed, q.grants.anywhere(), "in any namespace")
	case needed.Reach == ReachAll || namespace == "":
		return q.decide(needed, q.grants.in(""), "in all namespaces")
	case q.grants.in(namespace).Role == "": // not even a viewer there
		return Decision{Outcome: NotFound, Caller: ErrNotFound.Error(), Audit: q.text("it has no role in that namespace")}
	}
	return q.decide(needed, q.grants.in(namespace), fmt.Sprintf("in namespace %q", namespace))
}

// AuthorizeEach asks for several verbs; the first refusal is the answer.
func (g *Guard) AuthorizeEach(p Principal, verbs []Verb, r Resource, namespace string) Decision {
	d := Decision{Outcome: Forbidden, Caller: "nothing was asked for", Audit: "nothing was asked for"}
	for _, v := range verbs {
		if d = g.Authorize(p, v, r, namespace); !d.Allowed() {
			return d
		}
	}
	return d
}

// Visible returns the namespaces in which a principal may do something. It is
// what a list, or a stream of events, is restricted to.
func (g *Guard) Visible(p Principal, v Verb, r Resource) Namespaces {
	needed, known := permissionOf[action{r, v}]
	if !known || p.Kind == "" {
		return Namespaces{}
	}
	held := g.Grants(p).namespaces(needed.Role)
	if needed.Reach == ReachAll && !held.All() {
		return Namespaces{}
	}
	if needed.Reach == ReachAny && !held.Empty() {
		return Namespaces{all: true}
	}
	return held
}

// AuthorizeGrants decides whether a principal may do something to an API key
// that holds these grants. To create one, it must hold all of them itself; one
// that reaches beyond what it sees is not found.
func (g *Guard) AuthorizeGrants(p Principal, v Verb, key Grants) Decision {
	if p.Kind == "" || len(key) == 0 { // a key that may do nothing is for those who may do everything
		return g.Authorize(p, v, APIKeys, "")
	}
	own := g.Grants(p)
	var d Decision
	for _, grant := range key {
		namespace := grant.Namespace
		if namespace == AllNamespaces {
			namespace = ""
		}
		d = g.Authorize(p, v, APIKeys, namespace)
		if d.Allowed() && own.in(namespace).Role.AtLeast(grant.Role) {
			continue
		}
		reason := fmt.Sprintf("%s may not %s a key that holds %s: it holds %q", p.Name(), v, grant, own)
		if v == Create {
			caller := fmt.Sprintf("you may not hand out %s: create keys only for what you administer", grant)
			return Decision{Outcome: Forbidden, Caller: cut(caller), Audit: cut(reason)}
		}
		return Decision{Outcome: NotFound, Caller: ErrNotFound.Error(), Audit: cut(reason)}
	}
	return d
}

// question is what Authorize is asked, for its texts.
type question struct {
	action
	name      string
	grants    Grants
	namespace string
}

// decide compares the role that is held with the one that is needed. An unknown
// role of a grant is less than every other.
func (q question) decide(needed Permission, held Grant, where string) Decision {
	if held.Role.AtLeast(needed.Role) {
		return Decision{Outcome: Allowed, Audit: cut(fmt.Sprintf("%s may %s: it holds %s by %s",
			q.name, Action(q.resource, q.verb), held, held.Source))}
	}
	missing := fmt.Sprintf("the role %s %s is needed", needed.Role, where)
	has := "none"
	if held.Role != "" {
		has = fmt.Sprintf("%s by %s", held, held.Source)
	}
	return q.refuse(missing, fmt.Sprintf("%s, it holds %s", missing, has))
}

func (q question) refuse(caller, audit string) Decision {
	text := fmt.Sprintf("%s: %s", Action(q.resource, q.verb), caller)
	return Decision{Outcome: Forbidden, Audit: q.text(audit), Caller: cut(text)}
}

func (q question) text(reason string) string {
	where := ""
	if q.namespace != "" {
		where = fmt.Sprintf(" in namespace %q", q.namespace)
	}
	return cut(fmt.Sprintf("%s may not %s%s: %s", q.name, Action(q.resource, q.verb), where, reason))
}

// maxReason is the longest reason that the audit log stores, in bytes.
const maxReason = 1024

// cut shortens a text that repeats too much of what was asked. It is valid
// UTF-8 and stays so.
func cut(text string) string {
	if len(text) <= maxReason {
		return text
	}
	const more = "…"
	return strings.ToValidUTF8(text[:maxReason-len(more)], "") + more
}
