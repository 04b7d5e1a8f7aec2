package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/phoenix-platform/phoenix/examples/consolidate-kubernetes/playlist"
	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
	"github.com/phoenix-platform/phoenix/internal/testkit/replay"
)

// releasePath ends the wait at a round.
const releasePath = "/release"

// target is what is scraped. Its stages are played one after the other: one
// ends where the next begins, at a release.
type target struct {
	out io.Writer

	mu     sync.Mutex // held while a scrape is answered: one at a time
	stages []stage
	now    int
	round  int // what the stage's handler serves
}

// stage is a run of rounds, each as often as it is served, of which the last
// one stays.
type stage struct {
	handler *replay.Handler
	played  []playlist.Played
}

func newTarget(steps []playlist.Step, scrapes int, holds []string, out io.Writer) (*target, error) {
	if scrapes < 1 {
		return nil, fmt.Errorf("scrapes: must be positive, got %d", scrapes)
	}
	for _, name := range holds {
		if !slices.ContainsFunc(steps, func(s playlist.Step) bool { return s.Round.Name == name }) {
			return nil, fmt.Errorf("hold: there is no round %q", name)
		}
	}
	t := &target{out: out}
	var rounds []capture.Round
	var played []playlist.Played
	for i, step := range steps {
		for range scrapes {
			rounds = append(rounds, step.Round)
			played = append(played, step.Played())
		}
		held := step.Pass == 1 && slices.Contains(holds, step.Round.Name)
		if !held && i < len(steps)-1 {
			continue
		}
		handler, err := replay.New(replay.Settings{Rounds: rounds, Served: func(s replay.Scrape) { t.round = s.Round }})
		if err != nil {
			return nil, err
		}
		t.stages = append(t.stages, stage{handler: handler, played: played})
		rounds, played = nil, nil
	}
	return t, nil
}

// ServeHTTP answers scrapes and releases.
func (t *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.URL.Path == releasePath {
		t.release(w, r)
		return
	}
	s := &t.stages[t.now]
	before := s.handler.Scrapes()
	watched := &watchedWriter{ResponseWriter: w}
	s.handler.ServeHTTP(watched, r)
	if s.handler.Scrapes() == before {
		return // no scrape
	}
	if watched.err != nil || r.Context().Err() != nil {
		fmt.Fprintf(t.out, "Lost %s\n", s.played[t.round].Name)
		return
	}
	fmt.Fprintln(t.out, s.played[t.round])
	if s.handler.Scrapes() == len(s.played) {
		t.ended(s)
	}
}

func (t *target) ended(s *stage) {
	if t.now < len(t.stages)-1 {
		fmt.Fprintf(t.out, "Waiting at %s\n", s.played[t.round].Name)
		return
	}
	fmt.Fprintln(t.out, "Done")
}

func (t *target) release(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
	case t.stages[t.now].handler.Scrapes() < len(t.stages[t.now].played):
		http.Error(w, "not there yet", http.StatusConflict)
	case t.now == len(t.stages)-1:
		http.Error(w, "nothing is held", http.StatusConflict)
	default:
		t.now++
		fmt.Fprintln(t.out, "Released")
	}
}

// watchedWriter remembers whether an answer could not be written whole.
type watchedWriter struct {
	http.ResponseWriter
	err error
}

func (w *watchedWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.err = errors.Join(w.err, err)
	return n, err
}
