package fault

import (
	"encoding/json"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// domain is that of google.rpc.ErrorInfo, suggestionsKey is for the suggestions
// in its metadata: a JSON list.
const domain, suggestionsKey = "phoenix", "suggestions"

// ToStatus returns a fault as a gRPC status with standard details: ErrorInfo with
// the reason, BadRequest with the violations, RetryInfo.
func ToStatus(f *Fault) *status.Status {
	info := &errdetails.ErrorInfo{Reason: string(f.Reason), Domain: domain}
	if len(f.Suggestions) > 0 {
		text, _ := json.Marshal(f.Suggestions) // texts can be encoded
		info.Metadata = map[string]string{suggestionsKey: string(text)}
	}
	details := []protoadapt.MessageV1{info}
	if len(f.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range f.Violations {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: text(v.Field), Description: text(v.Description),
			})
		}
		details = append(details, bad)
	}
	if f.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter)})
	}
	plain := status.New(f.Code(), text(f.Detail))
	detailed, err := plain.WithDetails(details...)
	if err != nil {
		return plain
	}
	return detailed
}

// GRPCStatus makes every fault one for package status.
func (f *Fault) GRPCStatus() *status.Status { return ToStatus(f) }

// FromStatus is the inverse of ToStatus. Of a status without our details the
// reason is the one that its code most often has. It is nil for OK.
func FromStatus(s *status.Status) *Fault {
	if s.Code() == codes.OK {
		return nil
	}
	f := &Fault{Reason: ofCode(s.Code()), Detail: s.Message()}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() != domain {
				continue
			}
			f.Reason = Reason(d.GetReason())
			if text := d.GetMetadata()[suggestionsKey]; text != "" {
				_ = json.Unmarshal([]byte(text), &f.Suggestions) // suggestions may be lost
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				f.Violations = append(f.Violations, Violation{Field: v.GetField(), Description: v.GetDescription()})
			}
		case *errdetails.RetryInfo:
			f.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	return f
}

var ofCodes = map[codes.Code]Reason{
	codes.InvalidArgument: Invalid, codes.OutOfRange: Invalid, codes.Unauthenticated: Unauthenticated,
	codes.PermissionDenied: Forbidden, codes.NotFound: NotFound, codes.AlreadyExists: Exists,
	codes.FailedPrecondition: Conflict, codes.Aborted: PreconditionFailed, codes.ResourceExhausted: RateLimited,
	codes.Unavailable: Unavailable, codes.Canceled: Unavailable, codes.DeadlineExceeded: Timeout,
	codes.Unimplemented: MethodNotAllowed,
}

func ofCode(c codes.Code) Reason {
	if r, known := ofCodes[c]; known {
		return r
	}
	return Internal
}
