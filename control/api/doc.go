// Package api is the HTTP interface of the control plane: handlers, the types
// that travel over the wire, and a typed client for phoenixctl and tests.
//
// The wire types stand apart from the domain types of control/report, so that
// a field may be renamed inside without breaking those who ask. Errors follow
// RFC 9457 (https://www.rfc-editor.org/rfc/rfc9457): every answer that is not
// 2xx is application/problem+json, with all bad parameters at once.
package api
