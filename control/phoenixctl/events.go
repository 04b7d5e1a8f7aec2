package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// quiet is how long nothing comes before what is remembered counts as told: the
// stream does not say where the present begins.
const quiet = 500 * time.Millisecond

// fromTheBeginning is before every id.
const fromTheBeginning = "0"

// eventOptions are the flags of phoenixctl events.
type eventOptions struct {
	output    *output
	follow    bool
	types     []string
	namespace string
	after     string
	// told: an event came.
	told bool
}

func newEventsCommand() *cobra.Command {
	o := &eventOptions{}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happens: changes of policies, limits that are exceeded, the kill switch",
		Long: "events shows the events that the control plane remembers, and with --follow those that come, until\n" +
			"it is interrupted. A connection that breaks is opened again after the last event.",
		Example: "  phoenixctl events --follow\n" +
			"  phoenixctl events --type 'policy.*' --type killswitch.engaged -o json",
		Args: usage(cobra.NoArgs),
	}
	o.output = outputFlag(cmd, outputs...)
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with events as they come")
	f.StringArrayVar(&o.types, "type", nil, "only events of this type; a pattern with *, may be repeated")
	f.StringVarP(&o.namespace, "namespace", "n", "", "only events of this namespace (default: all that you see)")
	f.StringVar(&o.after, "after", "", "go on after the event of this id (default: all that are remembered)")
	cmd.RunE = ask(o.run)
	return cmd
}

func (o *eventOptions) run(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	pause := &pause{end: stop}
	defer pause.stop()
	query := client.EventsQuery{Types: o.types, Namespace: o.namespace, After: orWord(o.after, fromTheBeginning), Once: !o.follow}
	if o.follow {
		query.Lost = func(err error) {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "Warning: the stream broke and is opened again: %s\n", printable(err.Error()))
		}
	} else {
		query.Opened = pause.restart
	}
	err := c.Events(inner, query, func(e *pb.Event) error {
		if !o.follow {
			pause.restart()
		}
		if o.after == "" && e.GetType() == "events.lost" && !o.told {
			o.told = true // nobody asked for what is forgotten
			return nil
		}
		o.told = true
		return o.print(cmd.OutOrStdout(), e)
	})
	if errors.Is(err, context.Canceled) {
		return nil // interrupted, or told all
	}
	return err
}

// pause ends something when nothing happened for a while.
type pause struct {
	mu    sync.Mutex
	timer *time.Timer
	end   func()
}

func (p *pause) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer == nil {
		p.timer = time.AfterFunc(quiet, p.end)
		return
	}
	p.timer.Reset(quiet)
}

func (p *pause) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
}

// print writes one event: a line, a line of JSON, or a YAML document.
func (o *eventOptions) print(w io.Writer, e *pb.Event) error {
	switch o.output.value {
	case outputJSON:
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(e)
		if err != nil {
			return err
		}
		return printJSONLine(w, text)
	case outputYAML:
		_, _ = fmt.Fprintln(w, "---")
		return printMessage(w, e, outputYAML)
	}
	line := fmt.Sprintf("%s  %-27s  %s", stamp(e.GetTime()), e.GetType(), e.GetMessage())
	if e.GetPrincipal() != "" {
		line += "  by " + e.GetPrincipal()
	}
	_, err := fmt.Fprintln(w, printable(line))
	return err
}
