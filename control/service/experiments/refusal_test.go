package experiments

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/store"
)

// A reason is called as the code of the refusal, so that programs that know one
// know the other.
func TestRefusalsAreCalledAlike(t *testing.T) {
	require.Len(t, reasons, 10)
	for code, reason := range reasons {
		assert.Equal(t, strings.ToUpper(string(code)), string(reason))
		want := 409
		if code == experiment.RefusedInvalid || code == experiment.RefusedCommand {
			want = 400
		}
		f := fault.Of(faultOf(fmt.Errorf("so: %w", &experiment.Refusal{Code: code, Command: experiment.CommandStart, Experiment: "shop/a"})))
		assert.Equal(t, reason, f.Reason)
		assert.Equal(t, want, f.HTTPStatus(), code)
	}
	assert.Equal(t, fault.Conflict, fault.Of(faultOf(&experiment.Refusal{Code: "new"})).Reason)
	assert.Equal(t, fault.NotFound, fault.Of(faultOf(store.ErrNotFound)).Reason)
	require.NoError(t, faultOf(nil))
	many := policy.Errors{}
	for i := range 150 {
		many = append(many, policy.FieldError{Path: fmt.Sprintf("rules[%d]", i), Problem: strings.Repeat("x", 1000)})
	}
	f := fault.Of(faultOf(&experiment.Refusal{Code: experiment.RefusedInvalid, Err: many}))
	require.Len(t, f.Violations, 100)
	assert.Equal(t, "spec.rules[0]", f.Violations[0].Field)
	assert.Less(t, len(f.Violations[0].Description), 520)
	f = fault.Of(faultOf(&experiment.Refusal{Code: experiment.RefusedInvalid, Err: errors.New("unknown")}))
	assert.Len(t, f.Violations, 1)
}
