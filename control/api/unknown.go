package api

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/phoenix-platform/phoenix/control/api/fault"
)

// maxViolations bounds how many mistakes an answer names.
const maxViolations = 100

// unknownIn appends a violation for each message in m that holds fields which
// the proto does not know.
func unknownIn(m protoreflect.Message, path string, found []fault.Violation) []fault.Violation {
	if raw := m.GetUnknown(); len(raw) > 0 {
		where := path
		if where == "" {
			where = "message"
		}
		found = append(found, fault.Violation{
			Field: where, Description: fmt.Sprintf("has the unknown fields %v of %s", numbersIn(raw), m.Descriptor().FullName()),
		})
	}
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		at := join(path, string(field.Name()))
		switch {
		case len(found) >= maxViolations:
			return false
		case field.IsMap():
			if field.MapValue().Message() != nil {
				v.Map().Range(func(key protoreflect.MapKey, entry protoreflect.Value) bool {
					found = unknownIn(entry.Message(), at+"["+key.String()+"]", found)
					return true
				})
			}
		case field.Message() == nil:
		case field.IsList():
			for i := range v.List().Len() {
				found = unknownIn(v.List().Get(i).Message(), fmt.Sprintf("%s[%d]", at, i), found)
			}
		default:
			found = unknownIn(v.Message(), at, found)
		}
		return true
	})
	return found
}

// numbersIn are the numbers of the fields in a message's unknown bytes, sorted.
func numbersIn(raw []byte) []protowire.Number {
	var numbers []protowire.Number
	for len(raw) > 0 && len(numbers) < maxViolations {
		number, _, size := protowire.ConsumeField(raw)
		if size < 0 {
			break
		}
		numbers = append(numbers, number)
		raw = raw[size:]
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
