package main

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed configs
var configs embed.FS

// The rows that verdicts speak of.
const (
	rowNop         = "nop"
	rowOurs        = "consolidation"
	rowBoth        = "cardinality_consolidation"
	rowTransform   = "metrics_transform"
	rowVmagent     = "vmagent"
	configEnding   = ".yaml"
	collectorOTLP  = "/v1/metrics"
	vmagentOTLP    = "/opentelemetry/v1/metrics"
	profilePath    = "/debug/pprof/profile"
	sinkPromWrite  = "/api/v1/write"
	sinkOTLPMetric = "/v1/metrics"
)

// row is one candidate. Its configuration is configs/<name>.yaml.
type row struct {
	name string
	// pipeline says in one line what the points go through.
	pipeline string
	// exact says that the sums that come out must be those that went in.
	exact bool
	// binary is the program.
	binary string
}

var allRows = []row{
	{name: rowNop, pipeline: "otlp → nop"},
	{name: "forward", pipeline: "otlp → otlp_http", exact: true},
	{name: rowOurs, pipeline: "otlp → tag_consolidation → otlp_http", exact: true},
	{name: rowBoth, pipeline: "otlp → cardinality → tag_consolidation → otlp_http", exact: true},
	{name: rowTransform, pipeline: "otlp → resource → groupbyattrs → metrics_transform → otlp_http"},
	{name: "batch_metrics_transform", pipeline: "otlp → batch → resource → groupbyattrs → metrics_transform → otlp_http"},
	{name: rowVmagent, pipeline: "vmagent: otlp → stream aggregation → remote write"},
}

// chooseRows returns the rows that were asked for, or all, and a sentence for
// each that had to be left out.
func chooseRows(names, collector, vmagent string) (rows []row, missing []string, err error) {
	wanted := make(map[string]bool)
	if names != "" {
		for name := range strings.SplitSeq(names, ",") {
			wanted[name] = true
		}
	}
	for _, r := range allRows {
		if names != "" && !wanted[r.name] {
			continue
		}
		delete(wanted, r.name)
		variable := envCollector
		if r.binary = collector; r.name == rowVmagent {
			variable, r.binary = envVmagent, vmagent
		}
		switch {
		case r.binary != "":
			rows = append(rows, r)
		case r.name == rowVmagent && names == "":
			missing = append(missing, fmt.Sprintf("%s is left out: %s does not name its binary", r.name, variable))
		default:
			return nil, nil, fmt.Errorf("row %s: %s must name the binary; make bench-peers builds it and does", r.name, variable)
		}
	}
	for name := range wanted {
		err = errors.Join(err, fmt.Errorf("-rows: there is no row %q", name))
	}
	return rows, missing, err
}

// place is where a candidate finds things.
type place struct {
	listen      string // host:port where it takes points
	pprof       string // host:port of its profiles, if that is another
	sink        string // URL without a path
	dir         string // its own, temporary
	interval    string
	compression string
}

// env is the candidate's whole environment: nothing of the caller's reaches it
// but what finds programs and files, so that no GOGC or GOMAXPROCS does.
func (p place) env() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "TMPDIR=" + p.dir,
		"PEER_LISTEN=" + p.listen, "PEER_PPROF=" + p.pprof, "PEER_SINK=" + p.sink,
		"PEER_INTERVAL=" + p.interval, "PEER_COMPRESSION=" + p.compression,
	}
}

// install writes the row's configuration and returns the arguments that make
// the program read it.
func (r row) install(p place) ([]string, error) {
	name := r.name + configEnding
	text, err := configs.ReadFile("configs/" + name)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(p.dir, name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	if r.name != rowVmagent {
		return []string{"--config", file}, nil
	}
	return []string{
		"-httpListenAddr=" + p.listen,
		"-remoteWrite.url=" + p.sink + sinkPromWrite,
		"-remoteWrite.streamAggr.config=" + file,
		"-remoteWrite.tmpDataPath=" + filepath.Join(p.dir, "queue"),
		// What its own protocol compresses with zstd goes out with snappy, which costs less.
		"-remoteWrite.forcePromProto=true",
		"-loggerLevel=WARN",
	}, nil
}

// target is the URL that takes points.
func (r row) target(p place) string {
	if r.name == rowVmagent {
		return "http://" + p.listen + vmagentOTLP
	}
	return "http://" + p.listen + collectorOTLP
}

// profile is the URL of CPU profiles.
func (r row) profile(p place) string {
	if r.name == rowVmagent {
		return "http://" + p.listen + profilePath
	}
	return "http://" + p.pprof + profilePath
}
