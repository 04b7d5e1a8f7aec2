package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
)

// permission is a line of permissions.txt: who may do something to a resource.
type permission struct {
	Resource, Verb string
	// Roles has own, any, all or - for viewer, editor, operator and admin.
	Roles [4]string
}

var roles = [4]string{"viewer", "editor", "operator", "admin"}

func readPermissions(name string) ([]permission, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var all []permission
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) != 2+len(roles) || words[0] == "resource" || strings.HasPrefix(words[0], "#") {
			continue
		}
		all = append(all, permission{Resource: words[0], Verb: words[1], Roles: [4]string(words[2:])})
	}
	return all, lines.Err()
}

// accessOf says which permission an RPC takes; the permission matrix of the tests of control drives each of them. Nil is none:
// whoever is known at all.
var accessOf = map[string][]string{
	"Policies.ListPolicies":             {"policies", "list"},
	"Policies.GetPolicy":                {"policies", "get"},
	"Policies.CreatePolicy":             {"policies", "create"},
	"Policies.UpdatePolicy":             {"policies", "update"},
	"Policies.DeletePolicy":             {"policies", "delete"},
	"Policies.PreviewPolicy":            {"policies", "preview"},
	"Policies.EnforcePolicy":            {"policies", "enforce"},
	"Policies.DisablePolicy":            {"policies", "disable"},
	"Policies.RollbackPolicy":           {"policies", "rollback"},
	"Policies.ListPolicyRevisions":      {"policies", "list"},
	"Policies.GetPolicyRevision":        {"policies", "get"},
	"Experiments.ListExperiments":       {"experiments", "list"},
	"Experiments.GetExperiment":         {"experiments", "get"},
	"Experiments.CreateExperiment":      {"experiments", "create"},
	"Experiments.UpdateExperiment":      {"experiments", "update"},
	"Experiments.DeleteExperiment":      {"experiments", "delete"},
	"Experiments.StartExperiment":       {"experiments", "start"},
	"Experiments.PauseExperiment":       {"experiments", "pause"},
	"Experiments.ResumeExperiment":      {"experiments", "start"},
	"Experiments.PromoteExperiment":     {"experiments", "promote"},
	"Experiments.AbortExperiment":       {"experiments", "rollback"},
	"Experiments.ApproveExperiment":     {"experiments", "promote"},
	"Experiments.GetExperimentReport":   {"experiments", "get"},
	"Experiments.GetExperimentAnalysis": {"experiments", "get"},
	"Experiments.WatchExperiment":       {"experiments", "get"},
	"Cardinality.ListCardinality":       {"cardinality", "list"},
	"Cardinality.GetCardinality":        {"cardinality", "get"},
	"Costs.GetCosts":                    {"costs", "get"},
	"Costs.ListCosts":                   {"costs", "list"},
	"Costs.GetHistory":                  {"costs", "get"},
	"Savings.ListSavings":               {"savings", "list"},
	"Savings.GetSaving":                 {"savings", "get"},
	"Savings.EstimateSaving":            {"savings", "get"},
	"PriceModels.ListPriceModels":       {"priceModels", "list"},
	"PriceModels.GetPriceModel":         {"priceModels", "get"},
	"PriceModels.PutPriceModel":         {"priceModels", "update"},

	"Samplers.ListSamplers":          {"samplers", "list"},
	"PriceModels.DeletePriceModel":   {"priceModels", "delete"},
	"PriceModels.ActivatePriceModel": {"priceModels", "update"},
	"APIKeys.ListAPIKeys":            {"apiKeys", "list"},
	"APIKeys.GetAPIKey":              {"apiKeys", "get"},
	"APIKeys.CreateAPIKey":           {"apiKeys", "create"},
	"APIKeys.RevokeAPIKey":           {"apiKeys", "revoke"},
	"Audit.ListAudit":                {"audit", "list"},
	"Audit.VerifyAudit":              {"audit", "verify"},
	"Events.WatchEvents":             {"events", "watch"},
	"System.GetSystem":               {"system", "get"},
	"System.WhoAmI":                  nil,
	"System.GetKillSwitch":           {"killSwitch", "get"},
	"System.EngageKillSwitch":        {"killSwitch", "engage"},
	"System.ReleaseKillSwitch":       {"killSwitch", "release"},
	"System.Backup":                  {"backup", "create"},
}

// unknownMethods are those that accessOf has and the API has not.
func unknownMethods(services []*serviceDoc) []string {
	known := map[string]bool{}
	for _, s := range services {
		for _, m := range s.Methods {
			known[m.Name] = true
		}
	}
	var unknown []string
	for name := range accessOf {
		if !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// accessText says in words who may call an RPC.
func accessText(method string, permissions []permission) (string, error) {
	needs, known := accessOf[method]
	if !known {
		return "", fmt.Errorf("%s: say in accessOf of apidoc which permission it takes", method)
	}
	if needs == nil {
		return "whoever is known", nil
	}
	at := slices.IndexFunc(permissions, func(p permission) bool { return p.Resource == needs[0] && p.Verb == needs[1] })
	if at < 0 {
		return "", fmt.Errorf("%s: %s has no line %s %s", method, permissionsFile, needs[0], needs[1])
	}
	p := permissions[at]
	least := slices.IndexFunc(p.Roles[:], func(where string) bool { return where != "-" })
	if least < 0 {
		return "nobody", nil
	}
	return roles[least] + map[string]string{
		"own": " of the namespace", "any": " of any namespace", "all": " of all namespaces",
	}[p.Roles[least]] + fmt.Sprintf(" (%#q %#q)", p.Resource, p.Verb), nil
}
