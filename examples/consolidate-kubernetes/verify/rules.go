package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// rule is what this program knows of a rule. An option that it does not know is
// an error: what it cannot judge it must not pass.
type rule struct {
	Name  string `yaml:"name"`
	Match struct {
		Metric string   `yaml:"metric"`
		Types  []string `yaml:"types"`
		Point  []struct {
			Attribute string `yaml:"attribute"`
			Value     string `yaml:"value"`
		} `yaml:"point"`
	} `yaml:"match"`
	Attributes struct {
		Drop []string `yaml:"drop"`
	} `yaml:"attributes"`
	Buckets *struct {
		KeepBounds []float64 `yaml:"keep_bounds"`
	} `yaml:"buckets"`
	Gauge string `yaml:"gauge"`

	metric *regexp.Regexp
	point  map[string]*regexp.Regexp
}

var errNoRules = errors.New("there is no rule under processors.tag_consolidation")

// readRules reads the rules of a collector's configuration.
func readRules(config []byte) ([]rule, error) {
	var file struct {
		Processors map[string]yaml.Node `yaml:"processors"`
	}
	if err := yaml.Unmarshal(config, &file); err != nil {
		return nil, err
	}
	var processor struct {
		Rules yaml.Node `yaml:"rules"`
	}
	if node, found := file.Processors["tag_consolidation"]; found {
		if err := node.Decode(&processor); err != nil {
			return nil, err
		}
	}
	text, err := yaml.Marshal(&processor.Rules)
	if err != nil {
		return nil, err
	}
	var rules []rule
	strict := yaml.NewDecoder(bytes.NewReader(text))
	strict.KnownFields(true)
	if err := strict.Decode(&rules); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	if len(rules) == 0 {
		return nil, errNoRules
	}
	for i := range rules {
		if err := rules[i].compile(); err != nil {
			return nil, fmt.Errorf("rule %s: %w", rules[i].Name, err)
		}
	}
	return rules, nil
}

func (r *rule) compile() (err error) {
	switch r.Gauge {
	case "", "sum", "max", "min":
	default:
		return fmt.Errorf("gauge: cannot judge %q", r.Gauge)
	}
	for _, name := range r.Attributes.Drop {
		if strings.ContainsAny(name, ".*?") {
			return fmt.Errorf("drop: cannot judge %q", name)
		}
	}
	if r.metric, err = compilePattern(r.Match.Metric); err != nil {
		return err
	}
	r.point = map[string]*regexp.Regexp{}
	for _, condition := range r.Match.Point {
		if r.point[condition.Attribute], err = compilePattern(condition.Value); err != nil {
			return err
		}
	}
	return nil
}

// compilePattern reads a literal, a glob or a /regular expression/ for a whole
// text.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	if inner, found := strings.CutPrefix(pattern, "/"); found && strings.HasSuffix(inner, "/") {
		return regexp.Compile(`\A(?:` + strings.TrimSuffix(inner, "/") + `)\z`)
	}
	quoted := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	return regexp.Compile(`(?s)\A` + quoted + `\z`)
}

// otlpTypes are the names of types in rules.
var otlpTypes = map[string]string{kindCounter: "sum", kindGauge: "gauge", kindHistogram: "histogram", kindSummary: "summary"}

// ruleFor returns the first rule that matches, nil if none does or if the rule
// leaves this type alone.
func ruleFor(rules []rule, s *sample) *rule {
	for i := range rules {
		if r := &rules[i]; r.matches(s) {
			if s.kind == kindSummary || s.kind == kindGauge && r.Gauge == "" {
				return nil
			}
			return r
		}
	}
	return nil
}

func (r *rule) matches(s *sample) bool {
	if !r.metric.MatchString(s.metric) || len(r.Match.Types) > 0 && !slices.Contains(r.Match.Types, otlpTypes[s.kind]) {
		return false
	}
	for name, value := range r.point {
		if v, found := s.labels[name]; !found || !value.MatchString(v) {
			return false
		}
	}
	return true
}

// keeps says whether a number of a point stays: all but the buckets of bounds
// that are not named.
func (r *rule) keeps(n number) bool {
	return r.Buckets == nil || n.kind != bucket || n.isInf() || slices.Contains(r.Buckets.KeepBounds, n.at)
}

// kept are the labels that stay.
func (r *rule) kept(labels map[string]string) map[string]string {
	left := make(map[string]string, len(labels))
	for name, value := range labels {
		if !slices.Contains(r.Attributes.Drop, name) {
			left[name] = value
		}
	}
	return left
}
