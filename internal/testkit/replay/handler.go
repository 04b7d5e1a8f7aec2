// Package replay serves a capture as if its target were alive: an HTTP handler
// with the rounds at /metrics, one after the other.
package replay

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
)

// Path is where the rounds are served; every other path is not found.
const Path = "/metrics"

// ContentType is that of the Prometheus text format.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Settings says what to serve and when the next round is due.
type Settings struct {
	// Rounds are served in this order.
	Rounds []capture.Round
	// Interval is how long a round is served, counted from the first scrape.
	// Zero: each scrape gets the next round.
	Interval time.Duration
	// Loop starts over after the last round; counters fall then, as after a
	// restart of the target. Without it the last round stays.
	Loop bool
	// Served, if set, is called after every scrape, by one goroutine at a time.
	Served func(Scrape)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Scrape is one answer.
type Scrape struct {
	// Number counts the scrapes from 1.
	Number int
	// Round is the index of the round that was served.
	Round int
	// Name is the round's name.
	Name string
}

// Handler serves the rounds. It may be used by several goroutines.
type Handler struct {
	settings Settings
	packed   [][]byte // by round, compressed

	mu      sync.Mutex
	first   time.Time
	scrapes int
}

var _ http.Handler = (*Handler)(nil)

// New returns a handler for the rounds, of which there must be one at least.
func New(s Settings) (*Handler, error) {
	if len(s.Rounds) == 0 {
		return nil, errors.New("rounds: nothing to replay")
	}
	if s.Interval < 0 {
		return nil, fmt.Errorf("interval: must not be negative, got %s", s.Interval)
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	h := &Handler{settings: s}
	for _, r := range s.Rounds {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write(r.Text); err != nil {
			return nil, fmt.Errorf("compress round %q: %w", r.Name, err)
		}
		if err := w.Close(); err != nil {
			return nil, fmt.Errorf("compress round %q: %w", r.Name, err)
		}
		h.packed = append(h.packed, b.Bytes())
	}
	return h, nil
}

// Scrapes says how many scrapes were answered.
func (h *Handler) Scrapes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.scrapes
}

// ServeHTTP answers a scrape.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != Path:
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	round := h.next()
	body := h.settings.Rounds[round].Text
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header) {
		body = h.packed[round]
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a scraper that went away is no news
}

// next decides which round is due and counts the scrape.
func (h *Handler) next() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.settings.Now()
	if h.scrapes == 0 {
		h.first = now
	}
	round := h.scrapes
	if h.settings.Interval > 0 {
		round = int(now.Sub(h.first) / h.settings.Interval)
	}
	if h.settings.Loop {
		round %= len(h.settings.Rounds)
	}
	round = min(round, len(h.settings.Rounds)-1)
	h.scrapes++
	if h.settings.Served != nil {
		h.settings.Served(Scrape{Number: h.scrapes, Round: round, Name: h.settings.Rounds[round].Name})
	}
	return round
}

// acceptsGzip reads Accept-Encoding; a quality of zero is a no.
func acceptsGzip(header http.Header) bool {
	for _, value := range header.Values("Accept-Encoding") {
		for item := range strings.SplitSeq(value, ",") {
			coding, parameters, _ := strings.Cut(item, ";")
			if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				continue
			}
			quality, stated := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q=")
			if q, err := strconv.ParseFloat(quality, 64); !stated || err != nil || q > 0 {
				return true
			}
		}
	}
	return false
}
