package workload

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// maxPods keeps the addresses of the pods of a service in one /24.
const maxPods = 254

var services = []string{
	"cart", "catalog", "checkout", "currency", "frontend", "payment", "recommendation", "search", "shipping", "user",
}

// routes are a method and a template each.
var routes = []struct{ method, template string }{
	{"GET", "/api/v1/items"},
	{"POST", "/api/v1/items"},
	{"GET", "/api/v1/items/{id}"},
	{"PUT", "/api/v1/items/{id}"},
	{"DELETE", "/api/v1/items/{id}"},
	{"GET", "/api/v1/items/{id}/history"},
	{"GET", "/api/v1/items/{id}/related"},
	{"GET", "/api/v1/orders"},
	{"POST", "/api/v1/orders"},
	{"GET", "/api/v1/orders/{id}"},
	{"PUT", "/api/v1/orders/{id}"},
	{"GET", "/api/v1/orders/{id}/status"},
	{"GET", "/api/v1/users/{id}"},
	{"PUT", "/api/v1/users/{id}"},
	{"GET", "/api/v1/users/{id}/preferences"},
	{"PUT", "/api/v1/users/{id}/preferences"},
	{"POST", "/api/v1/search"},
	{"GET", "/api/v1/search/suggestions"},
	{"GET", "/healthz"},
	{"GET", "/readyz"},
}

var codes = []int64{200, 204, 400, 404, 500}

// metric is a cumulative monotonic sum.
type metric struct {
	name, description, unit string
	double                  bool
}

// A counter of seconds is a floating-point number wherever it comes from.
var metrics = []metric{
	{name: "http.server.requests", description: "Requests answered", unit: "{request}"},
	{name: "http.server.request.bytes", description: "Bytes of the bodies of requests", unit: "By"},
	{name: "http.server.response.bytes", description: "Bytes of the bodies of responses", unit: "By"},
	{name: "http.server.request.seconds", description: "Time spent on requests", unit: "s", double: true},
}

const (
	scopeName    = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	scopeVersion = "0.70.0"
)

func putResource(attrs pcommon.Map, service, pod int) {
	name := services[service]
	attrs.EnsureCapacity(6)
	attrs.PutStr("service.name", name)
	attrs.PutStr("service.namespace", "shop")
	attrs.PutStr("service.version", fmt.Sprintf("1.%d.0", service))
	attrs.PutStr("deployment.environment.name", "production")
	attrs.PutStr("k8s.namespace.name", "shop-"+name)
	attrs.PutStr(PodAttribute, podName(service, pod))
}

func putPoint(attrs pcommon.Map, service, pod, route, code int) {
	attrs.EnsureCapacity(6)
	attrs.PutStr("http.request.method", routes[route].method)
	attrs.PutStr("http.route", routes[route].template)
	attrs.PutInt("http.response.status_code", codes[code])
	attrs.PutStr("network.protocol.version", "1.1")
	attrs.PutStr("url.scheme", "https")
	attrs.PutStr(AddressAttribute, fmt.Sprintf("10.1.%d.%d", service, pod+1))
}

// podName looks like what a ReplicaSet makes.
func podName(service, pod int) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	hash := mix(service*maxPods + pod + 1)
	var suffix [5]byte
	for i := range suffix {
		suffix[i] = letters[(hash>>(8*i+16))%uint64(len(letters))]
	}
	return fmt.Sprintf("%s-6d4cf56db%d-%s", services[service], service, suffix[:])
}

// increment is by how much a series grows in a round: small, different, and
// never nothing.
func increment(service, pod, metric, route, code int) uint64 {
	n := (((service*maxPods+pod)*len(metrics)+metric)*len(routes)+route)*len(codes) + code
	return 1 + mix(n)>>55 // 1 to 512
}

// mix spreads small numbers over all bits (Fibonacci hashing).
func mix(n int) uint64 {
	return uint64(n) * 0x9E3779B97F4A7C15 //nolint:gosec // G115: n counts from zero
}
