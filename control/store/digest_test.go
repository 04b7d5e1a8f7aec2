package store_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/phoenix-platform/phoenix/control/store"
)

// TestDigestsStay pins the hashes that audit logs hold: each is SHA-256 over the
// canonical JSON beside it.
func TestDigestsStay(t *testing.T) {
	spec := store.SumSHA256([]byte("spec"))
	for canonical, digest := range map[string]store.Digest{
		`{"kind":"policy","name":"drop-pod","namespace":"shop","revision":7,"spec_sha256":"` + spec.String() + `","state":"enforced"}`: store.Policy{
			PolicyKey: store.PolicyKey{Namespace: "shop", Name: "drop-pod"}, Revision: 7, SpecSHA256: spec, State: store.StateEnforced,
		}.Digest(),
		`{"active":true,"evidence_sha256":"` + spec.String() + `","kind":"experiment","name":"drop-pod","namespace":"shop","phase":"Promoted",` +
			`"promoted_policy":"policies/shop/drop-pod","spec_sha256":"` + spec.String() + `","state_sha256":"` + spec.String() + `"}`: store.Experiment{
			ExperimentKey: store.ExperimentKey{Namespace: "shop", Name: "drop-pod"}, SpecSHA256: spec, State: []byte("spec"), Evidence: []byte("spec"),
			Phase: "Promoted", Active: true, Revision: 7, PromotedPolicy: "policies/shop/drop-pod", UpdatedAt: at,
		}.Digest(),
		`{"kind":"kill_switch","on":true,"reason":"fire"}`:                           store.KillSwitch{On: true, Reason: "fire", At: at, By: "ada"}.Digest(),
		`{"kind":"price_model","name":"mine","spec_sha256":"` + spec.String() + `"}`: store.PriceModel{Name: "mine", SpecSHA256: spec, Revision: 3}.Digest(),
		`{"key":"id","kind":"fact","value_sha256":"` + spec.String() + `"}`:          store.Fact{Key: "id", Value: []byte("spec")}.Digest(),
		`{"expires_at":"","id":"k","kind":"api_key","name":"","namespaces":[],"revoked":false,"scopes":["a","b"]}`: store.APIKey{
			ID: "k", Hash: spec, Scopes: []string{"a", "b"}, LastUsedAt: at,
		}.Digest(),
		`{"expires_at":"2026-03-01T12:00:00.123456Z","id":"k","kind":"api_key","name":"n","namespaces":["x"],"revoked":true,"scopes":[]}`: store.APIKey{
			ID: "k", Name: "n", Namespaces: []string{"x"}, ExpiresAt: at, RevokedAt: at,
		}.Digest(),
	} {
		assert.Equal(t, store.SumSHA256([]byte(canonical)), digest, canonical)
	}
}
