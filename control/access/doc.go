// Package access says who may do what with the control plane, and how often. It
// knows neither HTTP nor gRPC, holds no goroutine and asks no clock: what a
// request brings comes in as values, and decisions come out.
//
//	Endpoint, TLS, auth ─▶ CheckBind ────▶ Exposure    may it listen there?
//	Host                ─▶ Exposure.CheckHost          is this a page of a stranger?
//	Credentials         ─▶ Guard.Identify ─▶ Principal who asks?
//	Principal, Verb     ─▶ Limiter.Take                too often?
//	  and Resource      ─▶ Guard.Authorize ─▶ Decision may they?
//	                    ─▶ Guard.Visible ─▶ Namespaces what does a list show?
//
// # The model
//
// A Principal is an API key, the subject of a token that an authentication
// extension of the Collector verified, the name in a client certificate, or,
// where no authentication is configured, whoever is on this machine. It holds
// roles in namespaces: an API key those that it was made with, everybody else
// those of the bindings in the configuration. Each role may do what the one
// before may: viewer looks, editor writes what is not in force, operator decides
// what is in force, admin decides who may and goes past safeguards.
// testdata/permissions.txt has the whole table; what is not in it nobody may do.
//
// A namespace is that of a policy. In one where somebody holds no role, nothing
// exists for them: the decision is "not found" before anything is looked up, and
// lists leave it out. In one that they see, what they may not do is "forbidden".
// What concerns everybody, such as the kill switch, takes a role in all
// namespaces (*).
//
// A refusal has two texts: one for whoever asked, which gives nothing away, and
// one for the audit log.
//
// # Example
//
// With these bindings
//
//	bindings:
//	  - name: platform
//	    role: admin
//	    namespaces: ["*"]
//	    subjects: [{kind: token, group: platform}]
//	  - name: shop-team
//	    role: editor
//	    namespaces: [shop]
//	    subjects: [{kind: token, group: shop}, {kind: token, claim: department, value: retail}]
//	  - name: on-call
//	    role: operator
//	    namespaces: [shop, bank]
//	    subjects: [{kind: certificate, id: "spiffe://example/on-call"}]
//
// and an API key that was made to hold editor:shop and viewer:*, this is decided:
//
//	who                                   asks for             in      is told
//	token:root (platform)                 killSwitch.engage    -       allowed
//	token:alice (shop)                    policies.update      shop    allowed
//	token:alice (shop)                    policies.enforce     shop    policies.enforce: the role operator in namespace "shop" is needed
//	token:alice (shop)                    policies.get         bank    not found
//	token:alice (shop)                    policies.list        -       allowed, sees shop
//	token:carol (department=retail)       policies.create      shop    allowed
//	certificate:spiffe://example/on-call  policies.enforce     bank    allowed
//	certificate:spiffe://example/on-call  killSwitch.engage    -       killSwitch.engage: the role operator in all namespaces is needed
//	api_key:8Vn3kQ0xTb2L                  policies.update      shop    allowed
//	api_key:8Vn3kQ0xTb2L                  policies.update      bank    policies.update: the role editor in namespace "bank" is needed
//	api_key:8Vn3kQ0xTb2L                  policies.list        -       allowed, sees all
//	token:eve                             system.get           -       system.get: token:eve has no role: ask an administrator to bind one
//
// # For the caller
//
// An object that is missing must be answered like NotFound, word for word. What
// a change of a policy takes depends on whether it is in force: ask for all
// Verbs of the PolicyChange. An API key has no namespace: look it up, then ask
// AuthorizeGrants. A page that a browser shows can send requests to this machine
// that CheckHost lets pass, for it asks for localhost; refuse those of another
// origin too (http.CrossOriginProtection).
package access
