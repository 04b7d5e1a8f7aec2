package access

import (
	"crypto/x509"
	"slices"
	"strings"
)

// fromCertificate turns a verified client certificate into a principal. Its name
// is the URI among the alternative names, as SPIFFE has it
// (https://spiffe.io/docs/latest/spiffe-specs/x509-svid/), otherwise the common
// name of the subject. Its groups are the organizations of the subject, as in
// Kubernetes.
func fromCertificate(c *x509.Certificate) (Principal, error) {
	p := Principal{Kind: KindCertificate, ID: c.Subject.CommonName, Groups: slices.Clone(c.Subject.Organization)}
	switch {
	case len(c.URIs) == 1:
		p.ID = c.URIs[0].String()
		p.Display = c.Subject.CommonName
	case len(c.URIs) > 1:
		return Principal{}, unauthenticated("the client certificate has %d URIs as names; it must have one, or none and a common name", len(c.URIs))
	case strings.Contains(p.ID, "://"):
		return Principal{}, unauthenticated("the common name of the client certificate must not look like a URI")
	}
	if checkIdentity(p.Display, maxDisplay) != nil {
		p.Display = ""
	}
	if err := p.check(); err != nil {
		return Principal{}, refuseName("name in the client certificate", err)
	}
	return p, nil
}
