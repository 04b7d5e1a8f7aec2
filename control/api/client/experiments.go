package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
)

// ExperimentQuery says which experiment to watch.
type ExperimentQuery struct {
	Namespace, Name string
	// Lost, if given, is called when the stream breaks and will be opened again.
	Lost func(error)
}

// WatchExperiment calls use for the experiment as it is, and then whenever it
// changes, until the server ends the stream because the experiment is over; then
// it returns nil. It also ends with ctx, and when use returns an error, which it
// then returns. The first stream must open; one that breaks is opened again.
func (c *Client) WatchExperiment(ctx context.Context, q ExperimentQuery, use func(*phoenixv1.Experiment) error) error {
	route, err := routeOf(phoenixv1.Experiments_WatchExperiment_FullMethodName)
	if err != nil {
		return err
	}
	w := &experimentWatch{conn: c.conn, use: use}
	pause := c.conn.pause
	for {
		request, err := route.encode(&phoenixv1.WatchExperimentRequest{Namespace: q.Namespace, Name: q.Name})
		if err != nil {
			return err
		}
		w.told = false
		err = c.conn.stream(ctx, request, func() { w.opened = true }, w.dispatch)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case w.stop != nil:
			return w.stop
		case errors.Is(err, errEnded) && w.over:
			return nil
		case !w.opened, !broken(err):
			return err
		}
		if w.told {
			pause = c.conn.pause
		}
		if q.Lost != nil {
			q.Lost(err)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, maxReconnectPause)
	}
}

// experimentWatch is the state that goes from one stream to the next.
type experimentWatch struct {
	conn *conn
	use  func(*phoenixv1.Experiment) error
	// opened: the first stream stood. told: the present one said something. over:
	// the experiment is.
	opened, told, over bool
	// stop is the error of use, or another that going on would not cure.
	stop error
}

func (w *experimentWatch) dispatch(_, kind string, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if kind == "error" {
		return w.conn.streamProblem(data)
	}
	e := &phoenixv1.Experiment{}
	if err := fromJSON.Unmarshal(data, e); err != nil {
		w.stop = fmt.Errorf("decode the experiment that %s sent: %w", w.conn.address, err) // it would come again
		return w.stop
	}
	w.told, w.over = true, experiment.Phase(e.GetStatus().GetPhase()).Final()
	w.stop = w.use(e)
	return w.stop
}
