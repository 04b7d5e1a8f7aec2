package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/golang/snappy"
)

// sink takes what a candidate sends and says yes. It only keeps the bodies, as
// they come: what they hold is counted after the candidate has ended, so that
// counting does not take the processor from it.
type sink struct {
	server http.Server
	url    string
	done   chan struct{} // closed when the server has ended

	mu     sync.Mutex
	bodies []delivery
	err    error
}

// delivery is one request.
type delivery struct {
	path, encoding string
	body           []byte
}

func newSink(ctx context.Context) (*sink, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{url: "http://" + listener.Addr().String(), done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+sinkOTLPMetric, s.take)
	mux.HandleFunc("POST "+sinkPromWrite, s.take)
	s.server = http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(s.done)
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.fail(err)
		}
	}()
	return s, nil
}

// take answers with an empty body, which is a whole ExportMetricsServiceResponse.
func (s *sink) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.fail(err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.bodies = append(s.bodies, delivery{r.URL.Path, r.Header.Get("Content-Encoding"), body})
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.WriteHeader(http.StatusOK)
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.Join(s.err, fmt.Errorf("sink: %w", err))
}

// close ends the server and its connections.
func (s *sink) close() error {
	err := s.server.Close()
	<-s.done
	return err
}

// count adds up what has arrived.
func (s *sink) count() (*ledger, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	l := newLedger()
	for _, d := range s.bodies {
		if err := l.add(d); err != nil {
			return nil, fmt.Errorf("read what came to %s: %w", d.path, err)
		}
	}
	return l, nil
}

// plain is the body without its compression.
func (d delivery) plain() ([]byte, error) {
	switch d.encoding {
	case "":
		return d.body, nil
	case "gzip":
		r, err := gzip.NewReader(bytes.NewReader(d.body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	case "snappy":
		return snappy.Decode(nil, d.body)
	default:
		return nil, fmt.Errorf("unknown encoding %q", d.encoding)
	}
}
