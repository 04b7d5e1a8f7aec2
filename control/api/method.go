package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// method is an RPC with its implementation and its REST form.
type method struct {
	// full is /phoenix.v1.Policies/GetPolicy, short Policies/GetPolicy.
	full, short string
	verb        access.Verb
	impl        any
	unary       grpc.MethodHandler
	stream      grpc.StreamHandler // nil for unary RPCs
	input       protoreflect.MessageDescriptor
	output      protoreflect.MessageDescriptor
	// httpMethod, template and body are the option google.api.http. The body is
	// the name of a field, * for all that are not in the path, empty for none.
	httpMethod, template, body string
	// inPath are the paths of the fields in the template.
	inPath []string
	// located returns the path of what was created, empty if nothing was.
	located func(request, answer proto.Message) string
}

// verbs say what each RPC does, for the limits of how often. What it takes to
// be allowed to is for the services to decide.
var verbs = map[string]access.Verb{
	"Policies/ListPolicies": access.List, "Policies/GetPolicy": access.Get, "Policies/CreatePolicy": access.Create,
	"Policies/UpdatePolicy": access.Update, "Policies/DeletePolicy": access.Delete, "Policies/PreviewPolicy": access.Preview,
	"Policies/EnforcePolicy": access.Enforce, "Policies/DisablePolicy": access.Disable, "Policies/RollbackPolicy": access.Rollback,
	"Policies/ListPolicyRevisions": access.List, "Policies/GetPolicyRevision": access.Get,
	"Experiments/ListExperiments": access.List, "Experiments/GetExperiment": access.Get, "Experiments/CreateExperiment": access.Create,
	"Experiments/UpdateExperiment": access.Update, "Experiments/DeleteExperiment": access.Delete, "Experiments/StartExperiment": access.Start,
	"Experiments/PauseExperiment": access.Pause, "Experiments/ResumeExperiment": access.Start, "Experiments/PromoteExperiment": access.Promote,
	"Experiments/AbortExperiment": access.Rollback, "Experiments/ApproveExperiment": access.Promote,
	"Experiments/GetExperimentReport": access.Get, "Experiments/GetExperimentAnalysis": access.Get, "Experiments/WatchExperiment": access.Watch,
	"Cardinality/ListCardinality": access.List, "Cardinality/GetCardinality": access.Get,
	"Costs/GetCosts": access.Get, "Costs/ListCosts": access.List, "Costs/GetHistory": access.Get,
	"Savings/ListSavings": access.List, "Savings/GetSaving": access.Get, "Savings/EstimateSaving": access.Get,
	"Samplers/ListSamplers":       access.List,
	"PriceModels/ListPriceModels": access.List, "PriceModels/GetPriceModel": access.Get, "PriceModels/PutPriceModel": access.Update,
	"PriceModels/DeletePriceModel": access.Delete, "PriceModels/ActivatePriceModel": access.Update,
	"APIKeys/ListAPIKeys": access.List, "APIKeys/GetAPIKey": access.Get, "APIKeys/CreateAPIKey": access.Create,
	"APIKeys/RevokeAPIKey": access.Revoke,
	"Audit/ListAudit":      access.List, "Audit/VerifyAudit": access.Verify,
	"Events/WatchEvents": access.Watch,
	"System/GetSystem":   access.Get, "System/WhoAmI": access.Get, "System/GetKillSwitch": access.Get,
	"System/EngageKillSwitch": access.Engage, "System/ReleaseKillSwitch": access.Release, "System/Backup": access.Create,
}

// located are the RPCs that create something, with its path.
var located = map[string]func(request, answer proto.Message) string{
	"Policies/CreatePolicy": func(request, answer proto.Message) string {
		if request.(*phoenixv1.CreatePolicyRequest).GetValidateOnly() {
			return ""
		}
		p := answer.(*phoenixv1.Policy)
		return "/api/v1/policies/" + url.PathEscape(p.GetNamespace()) + "/" + url.PathEscape(p.GetName())
	},
	"Experiments/CreateExperiment": func(request, answer proto.Message) string {
		if request.(*phoenixv1.CreateExperimentRequest).GetValidateOnly() {
			return ""
		}
		e := answer.(*phoenixv1.Experiment)
		return "/api/v1/experiments/" + url.PathEscape(e.GetNamespace()) + "/" + url.PathEscape(e.GetName())
	},
	"APIKeys/CreateAPIKey": func(_, answer proto.Message) string {
		return "/api/v1/apiKeys/" + url.PathEscape(answer.(*phoenixv1.CreateAPIKeyResponse).GetApiKey().GetId())
	},
}

// methodsOf returns the RPCs of all services by their full name.
func methodsOf(services []service) (map[string]*method, error) {
	methods := map[string]*method{}
	add := func(s service, name string, unary grpc.MethodHandler, stream grpc.StreamHandler) error {
		m, err := newMethod(s, name)
		if err != nil {
			return fmt.Errorf("%s/%s: %w", s.desc.ServiceName, name, err)
		}
		m.unary, m.stream = unary, stream
		methods[m.full] = m
		return nil
	}
	for _, s := range services {
		for _, d := range s.desc.Methods {
			if err := add(s, d.MethodName, d.Handler, nil); err != nil {
				return nil, err
			}
		}
		for _, d := range s.desc.Streams {
			if err := add(s, d.StreamName, nil, d.Handler); err != nil {
				return nil, err
			}
		}
	}
	return methods, nil
}

func newMethod(s service, name string) (*method, error) {
	full := s.desc.ServiceName + "/" + name
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(full, "/", ".")))
	if err != nil {
		return nil, err
	}
	m := &method{full: "/" + full, short: full[strings.LastIndexByte(s.desc.ServiceName, '.')+1:], impl: s.impl}
	verb, known := verbs[m.short]
	if !known {
		return nil, fmt.Errorf("what does it do? verbs has no entry for %s", m.short)
	}
	m.verb, m.located = verb, located[m.short]
	d := found.(protoreflect.MethodDescriptor)
	m.input, m.output = d.Input(), d.Output()
	rule, _ := proto.GetExtension(found.Options(), annotations.E_Http).(*annotations.HttpRule)
	m.body = rule.GetBody()
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		m.httpMethod, m.template = http.MethodGet, p.Get
	case *annotations.HttpRule_Put:
		m.httpMethod, m.template = http.MethodPut, p.Put
	case *annotations.HttpRule_Post:
		m.httpMethod, m.template = http.MethodPost, p.Post
	case *annotations.HttpRule_Delete:
		m.httpMethod, m.template = http.MethodDelete, p.Delete
	default:
		return nil, fmt.Errorf("it has no REST form: option google.api.http is %v", rule)
	}
	m.inPath = fieldsIn(m.template)
	return m, nil
}

// fieldsIn returns the paths of the fields in a template.
func fieldsIn(template string) []string {
	var fields []string
	for rest := template; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return fields
		}
		inside, after, _ := strings.Cut(after, "}")
		field, _, _ := strings.Cut(inside, "=")
		fields, rest = append(fields, field), after
	}
}
