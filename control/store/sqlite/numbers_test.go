//go:build !race

package sqlite_test

import (
	"testing"

	"github.com/phoenix-platform/phoenix/control/store/storetest"
)

func TestManyPoliciesAreFastEnough(t *testing.T) { storetest.Numbers(t, engine) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, engine) }
