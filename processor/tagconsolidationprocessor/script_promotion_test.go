package tagconsolidationprocessor

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// promotionPlayer plays a script about an experiment for the service shop, of
// which the rules are in experiment.yaml, with both processors and a router: see
// arms. What is exported at a step is what both arms export. Its steps are at,
// send, passed, edge and edges, counters, which are those of both processors, and
//
//	router split|mirror|off  where data goes
//	promote                  control sends the rules to the common processor
//	roll back                control takes the rules away
//	far                      what goes to the candidate from now on is under way
//	arrive                   until now, and these are exported
//	restart                  the process is killed, and another begins; the router is off
type promotionPlayer struct {
	*arms
	t                 *testing.T
	player            *player // for what scripts expect
	candidate, common []policy.Rule
	telemetry         *componenttest.Telemetry
}

func (s *script) playPromotion(t *testing.T, rules string) {
	t.Helper()
	cfg, err := loadConfig(t, rules)
	require.NoError(t, err)
	p := &promotionPlayer{t: t, arms: newArms(t, s.files["config.yaml"]), player: &player{t: t, script: s}}
	p.candidate, p.common = experimentRules("default/x", cfg.Rules...)
	p.restarted()
	p.has(p.candidate...)
	p.begin()
	for i := 0; i < len(s.steps); i++ {
		i = p.step(i)
	}
}

// restarted begins the telemetry of a process.
func (p *promotionPlayer) restarted() {
	p.telemetry = componenttest.NewTelemetry()
	p.settings = p.telemetry.NewTelemetrySettings()
}

func (p *promotionPlayer) step(i int) int {
	p.t.Helper()
	step := &p.player.script.steps[i]
	head, rest, _ := strings.Cut(step.head, " ")
	switch head {
	case "at":
		p.now = epoch.Add(p.player.duration(rest))
	case "send":
		p.send(expandScript(step.lines)...)
		return p.player.expectPassed(i, p.shown())
	case "edge":
		p.player.expect(i, p.edge(true))
	case "edges":
		var all []string
		for end := epoch.Add(p.player.duration(rest)); p.now.Before(end); {
			all = append(all, p.edge(true)...)
		}
		p.player.expect(i, all)
	case "router":
		p.split, p.mirror = rest == "split", rest == "mirror"
	case "promote":
		p.has(p.common...)
		p.looks()
	case "roll": // back
		p.has()
		p.looks()
	case "far":
		p.far = true
	case "arrive":
		p.arrive()
		p.player.expect(i, p.shown())
	case "restart":
		p.now = p.now.Add(time.Second)
		p.restarted()
		p.restart()
		p.player.expect(i, p.shown())
	case "counters":
		s := &stage{rig: &rig{t: p.t}, telemetry: p.telemetry}
		p.player.expect(i, s.counters(strings.Fields(rest)))
	default:
		require.Fail(p.t, "unknown step", step.head)
	}
	return i
}
