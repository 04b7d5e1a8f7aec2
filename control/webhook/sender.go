package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/bus"
)

// Sender sends events to hooks. Its methods may be called by many goroutines.
type Sender struct {
	settings Settings
	lanes    []*lane
}

// lane is one hook and what waits for it.
type lane struct {
	Hook
	key   []byte
	queue chan message
}

// message is an event as it is sent.
type message struct {
	id, event string
	body      []byte
}

// New returns a sender. Run sends.
func New(s Settings) (*Sender, error) {
	if s.Timeout <= 0 {
		s.Timeout = DefaultTimeout
	}
	if s.GiveUp <= 0 {
		s.GiveUp = DefaultGiveUp
	}
	if s.MaxQueue <= 0 {
		s.MaxQueue = DefaultMaxQueue
	}
	if s.Client == nil { // the body of a redirected POST is lost, and the signature was not meant for another host
		s.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	if s.Done == nil {
		s.Done = func(string) {}
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	sender := &Sender{settings: s}
	var errs []error
	for i, h := range s.Hooks {
		if err := h.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("webhooks[%d]: %w", i, err))
			continue
		}
		key, _ := secretOf(h.Secret) // Validate has read it
		sender.lanes = append(sender.lanes, &lane{Hook: h, key: key, queue: make(chan message, s.MaxQueue)})
	}
	return sender, errors.Join(errs...)
}

// payload is the body of a request.
type payload struct {
	ID        string            `json:"id"`
	Type      string            `json:"type"`
	Timestamp time.Time         `json:"timestamp"`
	Data      map[string]string `json:"data"`
}

// Send hands an event to the hooks that want it. It does not wait: what does not
// fit into a hook's queue is lost, logged and counted.
func (s *Sender) Send(e bus.Event) {
	var m *message
	for _, l := range s.lanes {
		if !l.wants(e.Type) {
			continue
		}
		if m == nil {
			var err error
			if m, err = write(e); err != nil {
				s.settings.Logger.Error("An event cannot be written", zap.String("type", e.Type), zap.Error(err))
				return
			}
		}
		select {
		case l.queue <- *m:
		default:
			s.lost(l, *m, OutcomeOverflow, fmt.Errorf("%d events wait already", s.settings.MaxQueue))
		}
	}
}

// write makes the body. What the event says of itself goes before its detail.
func write(e bus.Event) (*message, error) {
	p := payload{ID: "evt_" + strconv.FormatUint(e.ID, 10), Type: e.Type, Timestamp: e.Time.UTC(), Data: map[string]string{}}
	maps.Copy(p.Data, e.Detail)
	for key, value := range map[string]string{
		"namespace": e.Namespace, "resource": e.Resource, "message": e.Message, "principal": e.Principal,
	} {
		if value != "" {
			p.Data[key] = value
		}
	}
	body, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return &message{id: p.ID, event: e.Type, body: body}, nil
}

// Run sends until ctx ends. What waits then is lost.
func (s *Sender) Run(ctx context.Context) {
	var lanes sync.WaitGroup
	for _, l := range s.lanes {
		lanes.Go(func() { s.run(ctx, l) })
	}
	lanes.Wait()
}

func (s *Sender) run(ctx context.Context, l *lane) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-l.queue:
			s.deliver(ctx, l, m)
		}
	}
}

// deliver tries until the receiver takes the event, says that it never will, or
// it is too late.
func (s *Sender) deliver(ctx context.Context, l *lane, m message) {
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, s.attempt(ctx, l, m) },
		backoff.WithMaxElapsedTime(s.settings.GiveUp), backoff.WithMaxTries(0))
	_, never := errors.AsType[*refused](err)
	switch {
	case err == nil:
		s.settings.Done(OutcomeDelivered)
	case never:
		s.lost(l, m, OutcomeRefused, err)
	case ctx.Err() == nil:
		s.lost(l, m, OutcomeGivenUp, err)
	}
}

// refused is the answer of a receiver that will never take an event.
type refused struct{ status string }

func (r *refused) Error() string { return "the receiver answers " + r.status }

func (s *Sender) attempt(ctx context.Context, l *lane, m message) error {
	ctx, cancel := context.WithTimeout(ctx, s.settings.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.URL, bytes.NewReader(m.body))
	if err != nil {
		return backoff.Permanent(&refused{err.Error()})
	}
	for name, value := range l.Headers {
		req.Header.Set(name, value)
	}
	timestamp := strconv.FormatInt(s.settings.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", m.id)
	req.Header.Set("Webhook-Timestamp", timestamp)
	req.Header.Set("Webhook-Signature", Sign(l.key, m.id, timestamp, m.body))
	resp, err := s.settings.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	return verdict(resp)
}

// verdict says whether an answer means delivered, try again or never.
func verdict(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 && seconds <= 600 {
			return backoff.RetryAfter(seconds)
		}
		return errors.New("the receiver answers " + resp.Status)
	case code == http.StatusRequestTimeout || code >= http.StatusInternalServerError:
		return errors.New("the receiver answers " + resp.Status)
	}
	return backoff.Permanent(&refused{resp.Status})
}

// Sign is the signature of a body, by the Standard Webhooks specification.
func Sign(key []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s.%s.", id, timestamp) // a hash takes everything
	_, _ = mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// lost tells of an event that was not delivered. The path of the hook may be a
// secret.
func (s *Sender) lost(l *lane, m message, outcome string, err error) {
	host := ""
	if u, parsed := url.Parse(l.URL); parsed == nil {
		host = u.Host
	}
	if inner, is := errors.AsType[*url.Error](err); is {
		err = inner.Err
	}
	s.settings.Logger.Warn("A webhook did not get an event", zap.String("host", host), zap.String("event", m.event),
		zap.String("id", m.id), zap.String("outcome", outcome), zap.Error(err))
	s.settings.Done(outcome)
}
