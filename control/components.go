package control

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// components lists what reports to the control plane, by kind, id and place. Of
// a processor that could not be asked it is said why.
func (p *Plane) components(ctx context.Context) []*phoenixv1.ComponentInfo {
	list := append(p.cardinality.components(), p.consolidation.components(ctx)...)
	list = append(list, p.routers.components()...)
	list = append(list, p.samplers.components(ctx)...)
	slices.SortFunc(list, func(a, b *phoenixv1.ComponentInfo) int {
		return cmp.Or(cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetId(), b.GetId()), cmp.Compare(a.GetPlace(), b.GetPlace()))
	})
	return list
}

// The kinds of components.
const kindCardinality, kindConsolidation, kindRouter, kindSampler = "cardinality", "tag_consolidation", "ab_router", "adaptive_sampler"

func (c *cardinalityRegistry) components() []*phoenixv1.ComponentInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]*phoenixv1.ComponentInfo, 0, len(c.points))
	for point, claim := range c.points {
		list = append(list, &phoenixv1.ComponentInfo{
			Id: claim.component, Kind: kindCardinality, Place: point, Instances: uint32(min(len(claim.registrations), math.MaxInt32)),
		})
	}
	return list
}

// components takes the instances of one component in one role together: the
// version is the oldest of theirs, the problems are those of all.
func (c *consolidationRegistry) components(ctx context.Context) []*phoenixv1.ComponentInfo {
	type place struct{ component, role string }
	found := map[place]*phoenixv1.ComponentInfo{}
	var list []*phoenixv1.ComponentInfo
	for _, r := range c.list() {
		version := float64(r.Source.PolicyVersion())
		info := found[place{r.Component, r.Role}]
		if info == nil {
			info = &phoenixv1.ComponentInfo{Id: r.Component, Kind: kindConsolidation, Place: r.Role, PolicyVersion: version}
			found[place{r.Component, r.Role}] = info
			list = append(list, info)
		}
		info.Instances++
		info.PolicyVersion = min(info.GetPolicyVersion(), version)
		answer, err := r.Source.Consolidation(ctx)
		if err != nil {
			info.Problems = append(info.Problems, "it could not be asked: "+err.Error())
			continue
		}
		for _, problem := range answer.Problems {
			if !slices.Contains(info.GetProblems(), problem) {
				info.Problems = append(info.Problems, problem)
			}
		}
	}
	return list
}

// components takes the instances of one router for one signal together.
func (c *routerRegistry) components() []*phoenixv1.ComponentInfo {
	var list []*phoenixv1.ComponentInfo
	for _, r := range c.list() {
		version := float64(r.Source.PolicyVersion())
		if n := len(list); n > 0 && list[n-1].GetId() == r.Component && list[n-1].GetPlace() == r.Signal {
			list[n-1].Instances++
			list[n-1].PolicyVersion = min(list[n-1].GetPolicyVersion(), version)
			continue
		}
		list = append(list, &phoenixv1.ComponentInfo{Id: r.Component, Kind: kindRouter, Place: r.Signal, Instances: 1, PolicyVersion: version})
	}
	return list
}

// components takes the instances of one sampler together, as those of
// consolidation are.
func (c *samplerRegistry) components(ctx context.Context) []*phoenixv1.ComponentInfo {
	var list []*phoenixv1.ComponentInfo
	for _, r := range c.list() {
		version := float64(r.Source.PolicyVersion())
		if n := len(list); n == 0 || list[n-1].GetId() != r.Component {
			list = append(list, &phoenixv1.ComponentInfo{Id: r.Component, Kind: kindSampler, PolicyVersion: version})
		}
		info := list[len(list)-1]
		info.Instances++
		info.PolicyVersion = min(info.GetPolicyVersion(), version)
		answer, err := r.Source.Sampling(ctx)
		if err != nil {
			info.Problems = append(info.Problems, "it could not be asked: "+err.Error())
			continue
		}
		for _, problem := range answer.Problems {
			if !slices.Contains(info.GetProblems(), problem) {
				info.Problems = append(info.Problems, problem)
			}
		}
	}
	return list
}
