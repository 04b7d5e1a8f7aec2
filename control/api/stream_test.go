package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"

	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// watch opens the stream of events.
func (w *world) watch(ctx context.Context, version int, path string, headers ...string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url(path), nil)
	require.NoError(w.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.client(version).Do(r)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// slowly sends ten events over two seconds.
func slowly(_ *phoenixv1.WatchEventsRequest, stream grpc.ServerStreamingServer[phoenixv1.Event]) error {
	for i := range 10 {
		if err := stream.Send(event(strconv.Itoa(i))); err != nil {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
	return nil
}

func TestStreamsOutliveTheTimeoutsOfTheServer(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Timeout = 300 * time.Millisecond }).start(func(s *http.Server) {
		s.WriteTimeout, s.ReadTimeout = 300*time.Millisecond, 300*time.Millisecond
	})
	w.events.set(slowly)
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprintf("REST over HTTP/%d", version), func(t *testing.T) {
			t.Parallel()
			got := w.sendBy(w.client(version), http.MethodGet, "/api/v1/events", "")
			require.Equal(t, http.StatusOK, got.StatusCode)
			assert.Equal(t, 10, strings.Count(got.body, "event: policy.enforced\n"))
		})
	}
	t.Run("gRPC", func(t *testing.T) {
		t.Parallel()
		stream, err := phoenixv1.NewEventsClient(w.dial()).WatchEvents(t.Context(), &phoenixv1.WatchEventsRequest{})
		require.NoError(t, err)
		n := 0
		for {
			if _, err = stream.Recv(); err != nil {
				break
			}
			n++
		}
		require.ErrorIs(t, err, io.EOF)
		assert.Equal(t, 10, n)
	})
}

func TestServerSentEvents(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Heartbeat = 100 * time.Millisecond }).start()
	received := make(chan *phoenixv1.WatchEventsRequest, 1)
	after := make(chan string, 1)
	beaten := make(chan struct{})
	w.events.set(func(r *phoenixv1.WatchEventsRequest, stream grpc.ServerStreamingServer[phoenixv1.Event]) error {
		received <- r
		after <- call.From(stream.Context()).LastEventID
		if err := stream.Send(event("41\nevent: forged")); err != nil {
			return err
		}
		<-beaten
		return fault.New(fault.Unavailable, "the bus is full")
	})
	resp := w.watch(t.Context(), 1, "/api/v1/events?types=policy.*&types=store.*&namespace=shop", "Last-Event-ID", "40")
	assert.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := bufio.NewReader(resp.Body)
	var body strings.Builder
	for !strings.Contains(body.String(), "heartbeat") {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		body.WriteString(line)
	}
	close(beaten)
	_, err := lines.WriteTo(&body)
	require.NoError(t, err)
	parts := strings.Split(body.String(), "\n\n")
	assert.Equal(t, ": phoenix", parts[0])
	assert.Equal(t, `id: 41 event: forged
event: policy.enforced
data: {"id":"41\nevent: forged","time":"1970-01-01T00:00:01Z","type":"policy.enforced","namespace":"","resource":"","message":"first\nsecond","principal":"","detail":{}}`, parts[1])
	assert.Equal(t, ": heartbeat", parts[2])
	last := parts[len(parts)-2]
	assert.True(t, strings.HasPrefix(last, "event: error\ndata: {\"type\":\"urn:phoenix:problem:unavailable\""), last)
	r := <-received
	assert.Equal(t, []string{"policy.*", "store.*"}, r.GetTypes())
	assert.Equal(t, "shop", r.GetNamespace())
	assert.Equal(t, "40", <-after)
}

func TestAStreamThatIsRefusedIsAProblem(t *testing.T) {
	w := newWorld(t).start()
	w.events.set(func(*phoenixv1.WatchEventsRequest, grpc.ServerStreamingServer[phoenixv1.Event]) error {
		return fault.New(fault.Forbidden, "no")
	})
	got := w.send(http.MethodGet, "/api/v1/events", "")
	assert.Equal(t, http.StatusForbidden, got.StatusCode)
	got.problem(t)
	got = w.send(http.MethodGet, "/api/v1/events?typo=1", "")
	assert.Equal(t, http.StatusBadRequest, got.StatusCode)
	assert.Equal(t, []fault.FieldError{{Field: "typo", Detail: "is no parameter here; there are: after, namespace, types"}}, got.problem(t).Errors)
}

func TestASilentStreamOpens(t *testing.T) {
	w := newWorld(t).start()
	for _, early := range []bool{true, false} {
		w.events.set(func(_ *phoenixv1.WatchEventsRequest, stream grpc.ServerStreamingServer[phoenixv1.Event]) error {
			if early {
				if err := stream.SendHeader(nil); err != nil {
					return err
				}
			}
			<-stream.Context().Done()
			return stream.Context().Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		resp := w.watch(ctx, 1, "/api/v1/events")
		line, err := bufio.NewReader(resp.Body).ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, ": phoenix\n", line)
		if early {
			assert.Less(t, time.Since(began), 200*time.Millisecond)
		}
		cancel()
	}
}

func TestAStreamEndsWhenItsClientGoes(t *testing.T) {
	w := newWorld(t).start()
	for _, version := range []int{1, 2} {
		ended := make(chan struct{})
		w.events.set(func(_ *phoenixv1.WatchEventsRequest, stream grpc.ServerStreamingServer[phoenixv1.Event]) error {
			defer close(ended)
			if err := stream.Send(event("1")); err != nil {
				return err
			}
			<-stream.Context().Done()
			return stream.Context().Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		_, err := bufio.NewReader(w.watch(ctx, version, "/api/v1/events").Body).ReadString('\n')
		require.NoError(t, err)
		cancel()
		<-ended
	}
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	w := newWorld(t, func(s *api.Settings) { s.Timeout = 200 * time.Millisecond }).start()
	for _, version := range []int{1, 2} {
		ended := make(chan error, 1)
		w.events.set(func(_ *phoenixv1.WatchEventsRequest, stream grpc.ServerStreamingServer[phoenixv1.Event]) error {
			e := event("1")
			e.Message = strings.Repeat("x", 1<<20)
			var err error
			for err == nil {
				err = stream.Send(e)
			}
			ended <- err
			return err
		})
		w.watch(t.Context(), version, "/api/v1/events")
		select {
		case err := <-ended:
			require.Error(t, err)
		case <-time.After(10 * time.Second):
			t.Fatal("the service still sends")
		}
	}
}

func TestStreamsOfRESTEndAtShutdown(t *testing.T) {
	w := newWorld(t).start()
	resp := w.watch(t.Context(), 1, "/api/v1/events")
	require.NoError(t, w.server.Shutdown(t.Context()))
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Contains(t, string(body), "event: error\ndata: {")
	assert.Contains(t, string(body), "shutting down")
}

func TestBackupIsADownload(t *testing.T) {
	at := time.Date(2026, 3, 11, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, func(s *api.Settings) { s.Now = func() time.Time { return at } }).start()
	got := w.send(http.MethodGet, "/api/v1/backup", "")
	assert.Equal(t, http.StatusOK, got.StatusCode)
	assert.Equal(t, "one two", got.body)
	assert.Equal(t, "application/octet-stream", got.Header.Get("Content-Type"))
	assert.Equal(t, `attachment; filename="phoenix-backup-20260311T120000Z"`, got.Header.Get("Content-Disposition"))

	stream, err := phoenixv1.NewSystemClient(w.dial()).Backup(t.Context(), &phoenixv1.BackupRequest{})
	require.NoError(t, err)
	var all []byte
	for {
		part, err := stream.Recv()
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
		all = append(all, part.GetData()...)
	}
	assert.Equal(t, "one two", string(all))
}

func TestABackupThatBreaksIsNotWhole(t *testing.T) {
	w := newWorld(t).start()
	w.system.backup = func(stream grpc.ServerStreamingServer[httpbody.HttpBody]) error {
		if err := stream.Send(&httpbody.HttpBody{Data: []byte("half")}); err != nil {
			return err
		}
		return fault.New(fault.Unavailable, "the store is gone")
	}
	for _, version := range []int{1, 2} {
		resp := w.watch(t.Context(), version, "/api/v1/backup")
		require.Equal(t, http.StatusOK, resp.StatusCode)
		_, err := io.ReadAll(resp.Body)
		require.Error(t, err, "HTTP/%d", version)
	}
	w.system.mu.Lock()
	w.system.backup = func(grpc.ServerStreamingServer[httpbody.HttpBody]) error { return fault.New(fault.Forbidden, "no") }
	w.system.mu.Unlock()
	assert.Equal(t, http.StatusForbidden, w.send(http.MethodGet, "/api/v1/backup", "").StatusCode)
}
