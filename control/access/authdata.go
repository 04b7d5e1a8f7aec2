package access

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// AuthData is what an authentication extension says about who sent a request:
// client.AuthData of the Collector, of which this package needs no more.
type AuthData interface {
	GetAttribute(name string) any
	GetAttributeNames() []string
}

// As oidcauthextension v0.159.0 names its attributes, besides subject and
// membership: the token itself, and the beginning of the names of its claims.
const (
	rawAttribute = "raw"
	claimsPrefix = "claims."
)

// maxDisplay bounds what people are called, in bytes.
const maxDisplay = 256

// fromAuth turns what an extension says into a principal. An extension that sets
// none of the attributes of a subject, such as bearertokenauth, names nobody;
// one that sets an empty subject, or something else than text, is refused.
func (g *Guard) fromAuth(authenticator string, auth AuthData) (Principal, error) {
	subject := firstSet(auth, g.identity.Subject)
	if subject == "" {
		p := Principal{Kind: KindShared, ID: authenticator}
		if err := p.check(); err != nil {
			return Principal{}, refuseName("id of the authentication extension", err)
		}
		return p, nil
	}
	p := Principal{Kind: KindToken}
	var text bool
	if p.ID, text = auth.GetAttribute(subject).(string); !text {
		return Principal{}, unauthenticated("the attribute %s of the token is not text", subject)
	}
	if issuer := firstSet(auth, g.identity.Issuer); issuer != "" {
		if p.Issuer, text = auth.GetAttribute(issuer).(string); !text {
			return Principal{}, unauthenticated("the attribute %s of the token is not text", issuer)
		}
		if err := checkIdentity(p.Issuer, maxPrincipal); err != nil {
			return Principal{}, refuseName("issuer of the token", err)
		}
	}
	if err := p.check(); err != nil {
		return Principal{}, refuseName("subject of the token", err)
	}
	for _, name := range g.identity.Groups {
		p.Groups = append(p.Groups, texts(auth.GetAttribute(name))...)
	}
	for _, name := range g.identity.Display {
		if text, ok := auth.GetAttribute(name).(string); ok && checkIdentity(text, maxDisplay) == nil {
			p.Display = text
			break
		}
	}
	for _, claim := range g.claims {
		if values := texts(claimOf(auth, claim)); len(values) > 0 {
			if p.Claims == nil {
				p.Claims = map[string][]string{}
			}
			p.Claims[claim] = values
		}
	}
	return p, nil
}

func refuseName(what string, err error) error {
	return unauthenticated("the %s cannot be used as a name: it %s", what, err)
}

// firstSet returns the first of the attributes that the extension sets.
func firstSet(auth AuthData, attributes []string) string {
	if auth == nil {
		return ""
	}
	names := auth.GetAttributeNames()
	for _, a := range attributes {
		if slices.Contains(names, a) {
			return a
		}
	}
	return ""
}

// claimOf looks a claim up by its whole name first, for names may have dots
// (https://example.com/roles), then inside of objects (realm_access.roles).
func claimOf(auth AuthData, path string) any {
	if value := auth.GetAttribute(claimsPrefix + path); value != nil {
		return value
	}
	for dot := strings.LastIndexByte(path, '.'); dot > 0; dot = strings.LastIndexByte(path[:dot], '.') {
		if object, ok := auth.GetAttribute(claimsPrefix + path[:dot]).(map[string]any); ok {
			return member(object, path[dot+1:])
		}
	}
	return nil
}

func member(object map[string]any, path string) any {
	if value, found := object[path]; found {
		return value
	}
	for dot := strings.LastIndexByte(path, '.'); dot > 0; dot = strings.LastIndexByte(path[:dot], '.') {
		if inner, ok := object[path[:dot]].(map[string]any); ok {
			return member(inner, path[dot+1:])
		}
	}
	return nil
}

// texts are the values of a claim: one, or the entries of a list. What is
// neither text, number nor boolean has none.
func texts(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case bool:
		return []string{strconv.FormatBool(v)}
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	case fmt.Stringer: // json.Number
		return []string{v.String()}
	case []string:
		return slices.Clone(v)
	case []any:
		var all []string
		for _, entry := range v {
			if _, nested := entry.([]any); !nested {
				all = append(all, texts(entry)...)
			}
		}
		return all
	}
	return nil
}
