package access_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/access"
)

func TestTheSystemMayWhatItWasMadeFor(t *testing.T) {
	guard, err := access.New(access.DefaultConfig())
	require.NoError(t, err)
	p := access.SystemPrincipal("autopilot", access.Grants{{Role: access.RoleOperator, Namespace: "shop"}})
	assert.Equal(t, "system:autopilot", p.Name())
	assert.True(t, guard.Authorize(p, access.Start, access.Experiments, "shop").Allowed())
	assert.False(t, guard.Authorize(p, access.Start, access.Experiments, "bank").Allowed())
	assert.False(t, guard.Authorize(p, access.Create, access.APIKeys, "shop").Allowed())
}
