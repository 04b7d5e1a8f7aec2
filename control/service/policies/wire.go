package policies

import (
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// wirePolicy is a policy without its status.
func wirePolicy(p store.Policy, previewedSince time.Time) *phoenixv1.Policy {
	return &phoenixv1.Policy{
		Namespace: p.Namespace, Name: p.Name, Spec: wireSpec(p.Spec), State: string(p.State),
		Revision: uint32(p.Revision), Etag: service.ETag(p.Revision), SpecSha256: p.SpecSHA256.String(), //nolint:gosec // counts changes of one policy
		PreviewedSince: timestamp(previewedSince),
		CreatedAt:      timestamp(p.CreatedAt), CreatedBy: p.CreatedBy, UpdatedAt: timestamp(p.UpdatedAt), UpdatedBy: p.UpdatedBy,
	}
}

func wireRevision(p store.PolicyRevision) *phoenixv1.PolicyRevision {
	r := &phoenixv1.PolicyRevision{
		Namespace: p.Namespace, Name: p.Name, Revision: uint32(p.Revision), State: string(p.State), //nolint:gosec // counts changes of one policy
		At: timestamp(p.At), By: p.By, RolledBackTo: uint32(p.RolledBackTo), //nolint:gosec // as above
	}
	if p.State != store.StateDeleted {
		r.Spec, r.SpecSha256 = wireSpec(p.Spec), p.SpecSHA256.String()
	}
	return r
}

// wireSpec reads a stored specification for people. What another version wrote
// is shown as far as this one knows it; that it is left out is in the status.
func wireSpec(text []byte) *phoenixv1.PolicySpec {
	spec := &phoenixv1.PolicySpec{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, spec); err != nil {
		return nil
	}
	return spec
}

// timestamp is nil for none.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// rolesOf lists the roles of the processors that a policy is for, RoleSampler the
// last.
func rolesOf(spec *phoenixv1.PolicySpec) []string {
	var roles []string
	seen := map[string]bool{}
	for _, r := range spec.GetRules() {
		role := r.GetRole()
		if role == "" {
			role = string(policy.RoleCommon)
		}
		if !seen[role] {
			seen[role], roles = true, append(roles, role)
		}
	}
	if len(spec.GetSampling()) > 0 {
		roles = append(roles, RoleSampler)
	}
	return roles
}
