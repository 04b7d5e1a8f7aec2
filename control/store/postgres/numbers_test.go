//go:build !race

package postgres_test

import (
	"testing"

	"github.com/phoenix-platform/phoenix/control/store/postgrestest"
	"github.com/phoenix-platform/phoenix/control/store/storetest"
)

func TestManyPoliciesAreFastEnough(t *testing.T) { storetest.Numbers(t, engine) }

func BenchmarkStore(b *testing.B) {
	durable := engine
	durable.NewPlace = postgrestest.Start(b, "fsync=on").NewDatabase
	storetest.Bench(b, durable)
}
