package series

import (
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// BenchmarkSeededHash compares the two libraries on a short label value.
func BenchmarkSeededHash(b *testing.B) {
	const value = "checkout-7d9f8b6c5d-x2x8k"
	b.Run("xxh3", func(b *testing.B) {
		var sum uint64
		for b.Loop() {
			sum += xxh3.HashStringSeed(value, 77)
		}
		_ = sum
	})
	b.Run("xxhash", func(b *testing.B) {
		var digest xxhash.Digest
		var sum uint64
		for b.Loop() {
			digest.ResetWithSeed(77)
			_, _ = digest.WriteString(value)
			sum += digest.Sum64()
		}
		_ = sum
	})
}

// BenchmarkMap hashes six string attributes, as a data point has.
func BenchmarkMap(b *testing.B) {
	m := pcommon.NewMap()
	for _, kv := range [][2]string{
		{"http.request.method", "GET"},
		{"http.route", "/api/v1/users/{id}"},
		{"server.address", "checkout.shop.svc"},
		{"url.scheme", "https"},
		{"network.protocol.version", "1.1"},
		{"error.type", "timeout"},
	} {
		m.PutStr(kv[0], kv[1])
	}
	h := NewHasher(Secret{a: 1, b: 2})
	b.ReportAllocs()
	var sum uint64
	for b.Loop() {
		sum += h.Map(Point, m)
	}
	_ = sum
}
