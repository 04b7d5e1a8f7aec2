package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Defaults of Settings.
const (
	DefaultTimeout  = 10 * time.Second
	DefaultGiveUp   = 15 * time.Minute
	DefaultMaxQueue = 1000
)

// Hook is where events are sent to.
type Hook struct {
	// URL gets a POST for each event. Required.
	URL string
	// Secret signs. Required.
	Secret string
	// Events are the types that are sent, such as experiment.phase; patterns with
	// *. Default: experiment.*.
	Events []string
	// Headers are sent with each request.
	Headers map[string]string
}

// Settings is what New needs.
type Settings struct {
	// Hooks are sent to side by side, each in the order of the events.
	Hooks []Hook
	// Timeout bounds one attempt. Default: 10s.
	Timeout time.Duration
	// GiveUp is how long an event is tried. Default: 15m.
	GiveUp time.Duration
	// MaxQueue bounds the events that wait for one hook; further ones are lost.
	// Default: 1000.
	MaxQueue int
	// Client sends. Default: one that follows no redirects.
	Client *http.Client
	// Logger is told of what was lost. Default: nothing is logged.
	Logger *zap.Logger
	// Done is told what became of each event: OutcomeDelivered, OutcomeRefused,
	// OutcomeGivenUp or OutcomeOverflow. Default: nobody is.
	Done func(outcome string)
	// Now is the clock of the signatures. Default: time.Now.
	Now func() time.Time
}

// What becomes of an event at a hook.
const (
	OutcomeDelivered = "delivered"
	// OutcomeRefused: the receiver said that it will never take it.
	OutcomeRefused = "refused"
	// OutcomeGivenUp: it could not be sent in time.
	OutcomeGivenUp = "given_up"
	// OutcomeOverflow: too many events waited.
	OutcomeOverflow = "overflow"
)

// minSecret is the least size of a secret, in bytes.
const minSecret = 16

// Validate reports all that is wrong with a hook, the key of the configuration
// first.
func (h Hook) Validate() error {
	var errs []error
	if u, err := url.Parse(h.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, fmt.Errorf("url: must be http:// or https:// and a host, got %q", h.URL))
	} else if u.User != nil {
		errs = append(errs, errors.New("url: must hold no password: use headers"))
	}
	if key, err := secretOf(h.Secret); err != nil {
		errs = append(errs, fmt.Errorf("secret: %w", err))
	} else if len(key) < minSecret {
		errs = append(errs, fmt.Errorf("secret: must have at least %d bytes, got %d", minSecret, len(key)))
	}
	for i, pattern := range h.Events {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			errs = append(errs, fmt.Errorf("events[%d]: must be a type such as experiment.phase or a pattern such as experiment.*, got %q", i, pattern))
		}
	}
	return errors.Join(errs...)
}

// secretOf is the key that a secret stands for.
func secretOf(secret string) ([]byte, error) {
	encoded, is := strings.CutPrefix(secret, "whsec_")
	if !is {
		return []byte(secret), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("must be base64 behind whsec_")
	}
	return key, nil
}

// wants says whether events of a type are sent.
func (h Hook) wants(event string) bool {
	for _, pattern := range h.Events {
		if ok, _ := path.Match(pattern, event); ok {
			return true
		}
	}
	return len(h.Events) == 0 && strings.HasPrefix(event, "experiment.")
}
