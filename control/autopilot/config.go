package autopilot

import (
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
)

// Config says what may be done without a person.
type Config struct {
	// Enabled turns it on. Default: false.
	Enabled bool `mapstructure:"enabled"`
	// Namespace is that of the experiments and of the policies that they become.
	// Default: default.
	Namespace string `mapstructure:"namespace"`
	// Groups are the groups that may be touched: values of the group_by attribute
	// of the measuring point, such as names of services; patterns with *.
	// Required.
	Groups []string `mapstructure:"groups"`
	// NeverTouch are metrics that stay as they are; patterns with *.
	NeverTouch []string `mapstructure:"never_touch"`
	// RuleFiles and Dashboards are paths of the queries that must answer the same
	// afterwards. At least one is required.
	RuleFiles  []string `mapstructure:"rule_files"`
	Dashboards []string `mapstructure:"dashboards"`
	// CriticalAlerts must each be judged, and MinJudged is the part of all queries
	// that must be. Default: 0.5, because not every query of an installation has
	// data.
	CriticalAlerts []string `mapstructure:"critical_alerts"`
	MinJudged      float64  `mapstructure:"min_judged"`
	// MinSeries is the least saving that is worth an experiment, in series of the
	// backend, MinRatio the least as a part of the metric. Default: 1000 and 0.3.
	MinSeries uint64  `mapstructure:"min_series"`
	MinRatio  float64 `mapstructure:"min_ratio"`
	// MaxPerDay bounds the experiments that begin in 24 hours, MaxRunning those
	// that run at once. Default: 3 and 1.
	MaxPerDay  int `mapstructure:"max_per_day"`
	MaxRunning int `mapstructure:"max_running"`
	// QuietHours are times of the day in which nothing begins and nothing is
	// promoted.
	QuietHours []QuietHours `mapstructure:"quiet_hours"`
	// Approval keeps every promotion waiting for a person. Default: true.
	Approval bool `mapstructure:"approval"`
	// Interval and MinDuration are those of the experiments. Default: 30s and 1h.
	Interval    time.Duration `mapstructure:"interval"`
	MinDuration time.Duration `mapstructure:"min_duration"`
	// Split goes on in steps before a promotion.
	Split SplitConfig `mapstructure:"split"`
}

// QuietHours is a time of every day; To may be before From, past midnight.
type QuietHours struct {
	// From and To are times such as 22:00.
	From string `mapstructure:"from"`
	To   string `mapstructure:"to"`
	// Zone is the name of a time zone, such as Europe/Berlin. Default: UTC.
	Zone string `mapstructure:"zone"`
}

// SplitConfig says how a candidate that passed on the mirror goes on.
type SplitConfig struct {
	// Enabled: it goes on in steps. Default: false, it is promoted from the mirror.
	Enabled bool `mapstructure:"enabled"`
	// Steps are the weights in percent, Dwell how long each stays. Default: 1, 5,
	// 25, 50 and 100, 10m each.
	Steps []int         `mapstructure:"steps"`
	Dwell time.Duration `mapstructure:"dwell"`
}

// Defaults of Config.
const (
	DefaultMinSeries   = 1000
	DefaultMinRatio    = 0.3
	DefaultMinJudged   = 0.5
	DefaultMaxPerDay   = 3
	DefaultMaxRunning  = 1
	DefaultMinDuration = time.Hour
)

// DefaultConfig is off, and careful once it is on.
func DefaultConfig() Config {
	return Config{
		Namespace: "default", MinSeries: DefaultMinSeries, MinRatio: DefaultMinRatio, MinJudged: DefaultMinJudged, MaxPerDay: DefaultMaxPerDay,
		MaxRunning: DefaultMaxRunning, Approval: true, Interval: experiment.DefaultInterval.Std(), MinDuration: DefaultMinDuration,
	}
}

// Validate reports all mistakes, the key first. One that is off may hold
// anything.
func (c *Config) Validate() error {
	if !c.Enabled {
		return nil
	}
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !policy.ValidName(c.Namespace) {
		wrong("namespace: must consist of letters, digits and ._-, got %q", c.Namespace)
	}
	if len(c.Groups) == 0 {
		wrong(`groups: must name what may be touched; "*" is everything`)
	}
	for key, list := range map[string][]string{"groups": c.Groups, "never_touch": c.NeverTouch} {
		for i, pattern := range list {
			if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
				wrong("%s[%d]: must be a name or a pattern with *, got %q", key, i, pattern)
			}
		}
	}
	if len(c.RuleFiles)+len(c.Dashboards) == 0 {
		wrong("rule_files, dashboards: at least one is needed: without queries nobody knows which labels are")
	}
	if c.MinRatio <= 0 || c.MinRatio >= 1 {
		wrong("min_ratio: must be above 0 and below 1, got %g", c.MinRatio)
	}
	if c.MinJudged <= 0 || c.MinJudged > 1 {
		wrong("min_judged: must be above 0 and at most 1, got %g", c.MinJudged)
	}
	if c.MaxPerDay < 1 || c.MaxRunning < 1 {
		wrong("max_per_day, max_running: must be positive, got %d and %d", c.MaxPerDay, c.MaxRunning)
	}
	if c.Interval <= 0 || c.MinDuration < 0 {
		wrong("interval, min_duration: must be positive, got %s and %s", c.Interval, c.MinDuration)
	}
	for i, q := range c.QuietHours {
		if _, err := q.parse(); err != nil {
			wrong("quiet_hours[%d]: %w", i, err)
		}
	}
	last := 0
	for i, w := range c.Split.Steps {
		if w <= last || w > 100 {
			wrong("split::steps[%d]: must rise, up to 100, got %d", i, w)
		}
		last = w
	}
	if c.Split.Dwell < 0 {
		wrong("split::dwell: must be positive, got %s", c.Split.Dwell)
	}
	return errors.Join(errs...)
}

// quiet is a time of the day that was read.
type quiet struct {
	from, to time.Duration // since midnight
	zone     *time.Location
}

func (q QuietHours) parse() (quiet, error) {
	from, err := time.Parse("15:04", q.From)
	if err != nil {
		return quiet{}, fmt.Errorf("from: must be a time such as 22:00, got %q", q.From)
	}
	to, err := time.Parse("15:04", q.To)
	if err != nil {
		return quiet{}, fmt.Errorf("to: must be a time such as 06:00, got %q", q.To)
	}
	zone, err := time.LoadLocation(q.Zone) // empty is UTC
	if err != nil {
		return quiet{}, fmt.Errorf("zone: %w", err)
	}
	return quiet{sinceMidnight(from), sinceMidnight(to), zone}, nil
}

func sinceMidnight(t time.Time) time.Duration {
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second
}

// holds says whether a time is within. Equal ends are the whole day.
func (q quiet) holds(now time.Time) bool {
	at := sinceMidnight(now.In(q.zone))
	if q.from < q.to {
		return at >= q.from && at < q.to
	}
	return at >= q.from || at < q.to
}

// Quiet says whether nothing may begin or be promoted now. Hours that cannot be
// read are quiet.
func (c *Config) Quiet(now time.Time) bool {
	for _, hours := range c.QuietHours {
		if q, err := hours.parse(); err != nil || q.holds(now) {
			return true
		}
	}
	return false
}
