package access

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind says how somebody was recognised.
type Kind string

// The kinds of principals.
const (
	// KindAPIKey: by an API key of ours. It carries its own grants.
	KindAPIKey Kind = "api_key"
	// KindToken: by an authentication extension that names a subject, such as
	// the subject of a JWT.
	KindToken Kind = "token"
	// KindShared: by an authentication extension that names nobody, because many
	// know the same secret.
	KindShared Kind = "shared"
	// KindCertificate: by a verified client certificate.
	KindCertificate Kind = "certificate"
	// KindLocal: not at all, but from this machine, where no authentication is
	// configured.
	KindLocal Kind = "local"
	// KindAnonymous: not at all, and perhaps from elsewhere (insecure_bind).
	KindAnonymous Kind = "anonymous"
	// KindSystem: the control plane itself. No request makes one; see SystemPrincipal.
	KindSystem Kind = "system"
)

// kinds are those that bindings may name.
var kinds = []Kind{KindToken, KindShared, KindCertificate, KindLocal, KindAnonymous}

// maxPrincipal bounds the name of a principal, in bytes, so that the audit log
// can store it with a reason.
const maxPrincipal = 512

// Principal is who asks. The zero value is nobody, who may nothing.
type Principal struct {
	Kind Kind
	// ID is the id of the API key, the subject of the token, the name in the
	// certificate, or the authentication extension. Empty for local and anonymous.
	ID string
	// Issuer is who vouches for the ID, if the token says so: two issuers may
	// mean different people by one subject.
	Issuer string
	// Display is for people. Nothing is decided by it.
	Display string
	// Groups are those of the token, or the organizations of the certificate.
	Groups []string
	// Claims are the values of those claims that bindings ask for.
	Claims map[string][]string

	grants Grants // of an API key, or of the control plane itself
}

// Name is unique to the principal, and how the audit log, rate limits and
// idempotency keys call it: api_key:8Vn3…, token:https://idp.example#alice,
// certificate:spiffe://example/ci, shared:bearertokenauth, local.
func (p Principal) Name() string {
	switch {
	case p.Kind == "":
		return "nobody"
	case p.ID == "":
		return string(p.Kind)
	case p.Issuer == "":
		return string(p.Kind) + ":" + escapeName(p.ID)
	}
	return string(p.Kind) + ":" + escapeName(p.Issuer) + "#" + escapeName(p.ID)
}

// String is Name.
func (p Principal) String() string { return p.Name() }

// escapeName keeps the # between issuer and id the only one.
var escapeName = strings.NewReplacer("%", "%25", "#", "%23").Replace

// check refuses an ID that cannot be told from another one, or that deceives
// whoever reads it in a log.
func (p Principal) check() error {
	if err := checkIdentity(p.ID, maxPrincipal); err != nil {
		return err
	}
	if n := len(p.Name()); n > maxPrincipal {
		return fmt.Errorf("must not be longer than %d bytes, got %d", maxPrincipal, n)
	}
	return nil
}

// checkIdentity takes printable characters only: a line feed would forge a line
// of a log, and a character that nobody sees makes two names look like one.
func checkIdentity(name string, limit int) error {
	switch {
	case name == "":
		return errors.New("must not be empty")
	case len(name) > limit:
		return fmt.Errorf("must not be longer than %d bytes, got %d", limit, len(name))
	case !utf8.ValidString(name):
		return errors.New("must be valid UTF-8")
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("must have printable characters only, got %q", name)
	}
	return nil
}
