//go:build e2e

package e2e

import "time"

// The ranges in dashboardQueries, and the offset.
const (
	shortRange      = 20 * time.Second
	longRange       = 30 * time.Second
	dashboardOffset = 10 * time.Second
)

// dashboardQueries is what a dashboard asks about the shop. Every query
// aggregates over the pods, as it must where pods come and go.
var dashboardQueries = []string{
	// Integer counters.
	`sum by (route) (rate(http_requests_total[30s]))`,
	`sum by (route, code) (rate(http_requests_total[20s]))`,
	`sum by (code) (increase(http_requests_total[20s]))`,
	`sum(rate(http_requests_total{route="/pay"}[30s]))`,
	`sum without (pod, k8s_pod_name, instance) (rate(http_requests_total{code!="200"}[30s]))`,
	`sum by (route) (rate(http_requests_total[20s] offset 10s))`,
	`sum by (route) (rate(http_requests_total{code=~"5.."}[30s])) / sum by (route) (rate(http_requests_total[30s]))`,
	`1 - sum(increase(http_requests_total{code="200"}[20s])) / sum(increase(http_requests_total[20s]))`,
	`topk(2, sum by (route) (rate(http_requests_total[30s])))`,
	`bottomk(1, sum by (code) (rate(http_requests_total[30s])))`,
	`sum by (route) (rate(http_requests_total[20s])) > 2000`,
	// Since both streams begin with the shop, not only increases agree.
	`sum by (route, code) (http_requests_total)`,

	// Double counters.
	`sum by (mode) (rate(cpu_time_seconds_total[30s]))`,
	`sum by (mode) (rate(cpu_time_seconds_total[20s])) / on () group_left () sum(rate(cpu_time_seconds_total[20s]))`,
	`sum(rate(cpu_time_seconds_total[30s])) / sum(rate(http_requests_total[30s]))`,

	// Classic histograms. Of rpc.latency only the bounds 0.05, 0.25 and 1 stay.
	`histogram_quantile(0.5, sum by (le) (rate(http_latency_seconds_bucket[30s])))`,
	`histogram_quantile(0.9, sum by (le, route) (rate(http_latency_seconds_bucket[30s])))`,
	`histogram_quantile(0.99, sum by (le, route) (rate(http_latency_seconds_bucket[20s])))`,
	`sum by (route) (rate(http_latency_seconds_sum[30s])) / sum by (route) (rate(http_latency_seconds_count[30s]))`,
	`sum by (route) (rate(http_latency_seconds_bucket{le="0.25"}[20s])) / sum by (route) (rate(http_latency_seconds_count[20s]))`,
	`sum by (route) (rate(rpc_latency_seconds_bucket{le="0.25"}[30s])) / ignoring (le) sum by (route) (rate(rpc_latency_seconds_bucket{le="+Inf"}[30s]))`,
	`sum by (le) (increase(rpc_latency_seconds_bucket{le=~"0.05|0.25|1([.]0)?|[+]Inf"}[20s]))`,

	// Native histograms.
	`histogram_quantile(0.5, sum(rate(db_latency_seconds[30s])))`,
	`histogram_quantile(0.9, sum by (route) (rate(db_latency_seconds[30s])))`,
	`histogram_quantile(0.99, sum by (route) (rate(db_latency_seconds[20s])))`,
	`histogram_avg(sum by (route) (rate(db_latency_seconds[30s])))`,
	`histogram_count(sum by (route) (increase(db_latency_seconds[20s])))`,
	`histogram_fraction(0, 0.25, sum by (route) (rate(db_latency_seconds[30s])))`,

	// Up-down sums and gauges.
	`sum by (route) (http_active)`,
	`sum by (queue) (queue_depth)`,
	`sum by (queue) (delta(queue_depth[30s]))`,
	`avg_over_time(sum(queue_depth)[20s:1s])`,
	`max by (zone) (memory_used)`,
	`min by (zone) (disk_free)`,
	`avg by (zone) (disk_temperature)`,
}
