package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/phoenix-platform/phoenix/benchmarks/workload"
)

// offset is how long after the edge of an interval a round begins. What is
// emitted at the edge has gone by then, so that a round and its outputs are
// inside of one measurement.
const offset = 150 * time.Millisecond

// trial is what one run of one row measured.
type trial struct {
	cpu    time.Duration // of the measured rounds, less that of the idle process
	idle   float64       // processor time of the idle process as a share of the time
	in     int           // points of the measured rounds
	sent   int           // points sent in all
	out    int           // points that arrived in all
	series int           // series that arrived
	kept   float64       // sum over what arrived, as a share of the sum sent
	peak   int64         // largest resident size, bytes
	late   int           // rounds that took longer than an interval
}

// perMillion is what a million points cost, in seconds of a processor.
func (t trial) perMillion() float64 { return t.cpu.Seconds() / float64(t.in) * 1e6 }

// measurement is a trial under way.
type measurement struct {
	*bench
	row    row
	place  place
	child  *child
	sender *sender
	work   *workload.Workload
	trial  trial
}

// try runs a row once.
func (b *bench) try(ctx context.Context, r row) (_ trial, err error) {
	dir, err := os.MkdirTemp("", "phoenix-peers-")
	if err != nil {
		return trial{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sink, err := newSink(ctx)
	if err != nil {
		return trial{}, err
	}
	defer func() { err = errors.Join(err, sink.close()) }()
	addresses, err := freeAddresses(ctx, 2)
	if err != nil {
		return trial{}, err
	}
	m := measurement{bench: b, row: r, place: place{
		listen: addresses[0], pprof: addresses[1], sink: sink.url, dir: dir,
		interval: b.interval.String(), compression: b.compression,
	}}
	if m.child, err = startChild(ctx, r, m.place); err != nil {
		return trial{}, err
	}
	defer func() { err = errors.Join(err, m.child.kill()) }()
	if err := m.measure(ctx); err != nil {
		return trial{}, err
	}
	if m.trial.peak, err = peakMemory(m.child.cmd.Process.Pid); err != nil {
		return trial{}, err
	}
	if err := m.child.stop(); err != nil {
		return trial{}, err
	}
	arrived, err := sink.count()
	if err != nil {
		return trial{}, err
	}
	m.trial.out, m.trial.series = arrived.points, len(arrived.last)
	m.trial.kept = arrived.total() / m.work.Total(b.warmup+b.rounds)
	return m.trial, nil
}

// measure watches the process while it has nothing to do, and then while it has.
func (m *measurement) measure(ctx context.Context) error {
	// The fleet starts after the candidate, which can therefore know that it
	// has missed nothing.
	var err error
	if m.work, err = workload.New(m.shape, time.Now()); err != nil {
		return err
	}
	m.sender = newSender(m.row.target(m.place), m.connections)
	defer m.sender.close()
	idle, watched, err := m.watch(func() error { return sleep(ctx, m.idle) })
	if err != nil {
		return err
	}
	m.trial.idle = idle.Seconds() / watched.Seconds()
	if err := m.send(ctx, 1, m.warmup); err != nil {
		return err
	}
	stopProfile := m.profile(ctx)
	m.trial.late = 0
	busy, watched, err := m.watch(func() error {
		if err := m.send(ctx, m.warmup+1, m.rounds); err != nil {
			return err
		}
		// The outputs of the last round are out; a stage that holds points back
		// for an interval of its own has yet to hand them on.
		return sleep(ctx, m.interval)
	})
	if err := errors.Join(err, stopProfile()); err != nil {
		return err
	}
	m.trial.cpu = busy - time.Duration(m.trial.idle*float64(watched))
	m.trial.in = m.rounds * m.shape.Series()
	m.trial.sent = (m.warmup + m.rounds) * m.shape.Series()
	return nil
}

// watch measures the processor time of the child, and the time, while f runs.
func (m *measurement) watch(f func() error) (used, passed time.Duration, err error) {
	pid := m.child.cmd.Process.Pid
	before, err := cpuTime(pid)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := f(); err != nil {
		return 0, 0, err
	}
	after, err := cpuTime(pid)
	if err != nil {
		return 0, 0, m.child.fault("ended while it was measured")
	}
	return after - before, time.Since(began), nil
}

// send sends rounds, each within one interval, and returns when the next would
// begin.
func (m *measurement) send(ctx context.Context, first, rounds int) error {
	for round := first; round < first+rounds; round++ {
		if round == 1 { // the others begin where the one before has ended
			if err := sleep(ctx, m.untilRound()); err != nil {
				return err
			}
		}
		began := time.Now()
		if err := m.sender.send(ctx, m.work.Round(round, began)); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if time.Since(began) > m.interval-offset {
			m.trial.late++
		}
		if err := sleep(ctx, m.untilRound()); err != nil {
			return err
		}
	}
	return nil
}

// untilRound is the time until the offset behind the next multiple of the
// interval since the epoch, which is when outputs are emitted.
func (m *measurement) untilRound() time.Duration {
	since := time.Duration(time.Now().UnixNano())
	return m.interval - (since-offset)%m.interval
}

// profile begins to take a CPU profile of the rounds that follow, if one is
// wanted, and returns what waits until it is written.
func (m *measurement) profile(ctx context.Context) (wait func() error) {
	if m.profiles == "" {
		return func() error { return nil }
	}
	written := make(chan error, 1)
	go func() {
		seconds := time.Duration(m.rounds) * m.interval / time.Second
		written <- m.saveProfile(ctx, fmt.Sprintf("%s?seconds=%d", m.row.profile(m.place), seconds))
	}()
	return func() error { return <-written }
}

func (m *measurement) saveProfile(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s: %.200q", response.Status, body)
	}
	return os.WriteFile(filepath.Join(m.profiles, m.row.name+".pprof"), body, 0o600)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
