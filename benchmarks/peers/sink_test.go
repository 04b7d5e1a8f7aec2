package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/phoenix-platform/phoenix/benchmarks/workload"
)

var smallShape = workload.Shape{Services: 2, Pods: 4, Routes: 3, Codes: 2, PodsPerRequest: 2}

func startSink(t *testing.T) *sink {
	t.Helper()
	s, err := newSink(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.close()) })
	return s
}

// The sender and the sink are the two ends of a run: with nothing between them
// the sums agree.
func TestWhatIsSentArrives(t *testing.T) {
	s := startSink(t)
	start := time.Now()
	w, err := workload.New(smallShape, start)
	require.NoError(t, err)
	to := newSender(s.url+sinkOTLPMetric, 3)
	defer to.close()
	for round := 1; round <= 4; round++ {
		require.NoError(t, to.send(t.Context(), w.Round(round, start.Add(time.Duration(round)*time.Second))))
	}
	l, err := s.count()
	require.NoError(t, err)
	assert.Equal(t, 4*smallShape.Series(), l.points)
	assert.Len(t, l.last, smallShape.Series())
	assert.Equal(t, w.Total(4), l.total())
}

func TestSenderReportsTheFirstRefusal(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); string(body) == "1" {
			http.Error(w, "queue is full", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	s := newSender(server.URL, 1)
	defer s.close()
	err := s.send(t.Context(), [][]byte{[]byte("0"), []byte("1"), []byte("2")})
	require.EqualError(t, err, `request 1: answered 503 Service Unavailable: "queue is full\n"`)
}

func TestLedgerKeepsTheNewestOfASeries(t *testing.T) {
	l := newLedger()
	l.note("a", reading{2, 20})
	l.note("a", reading{1, 10}) // late
	l.note("b", reading{1, 5})
	l.note("b", reading{1, 6}) // written twice
	assert.Equal(t, 4, l.points)
	assert.Equal(t, 26.0, l.total())
}

func TestGzipIsRead(t *testing.T) {
	w, err := workload.New(smallShape, time.Now())
	require.NoError(t, err)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(w.Round(1, time.Now())[0])
	require.NoError(t, err)
	require.NoError(t, z.Close())
	l := newLedger()
	require.NoError(t, l.add(delivery{path: sinkOTLPMetric, encoding: "gzip", body: packed.Bytes()}))
	assert.Equal(t, smallShape.Series()/4, l.points)
	assert.EqualError(t, l.add(delivery{path: sinkOTLPMetric, encoding: "br"}), `unknown encoding "br"`)
}

// message appends a field that has a length.
func message(to []byte, number protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), body)
}

func label(name, value string) []byte {
	return message(message(nil, 1, []byte(name)), 2, []byte(value))
}

func sample(bits uint64, milliseconds int64) []byte {
	b := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), bits)
	return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(milliseconds))
}

func TestRemoteWriteIsRead(t *testing.T) {
	const one, two = 0x3ff0000000000000, 0x4000000000000000
	a := message(message(message(message(nil, 1, label("pod", "x")), 1, label("__name__", "m")), 2, sample(one, 1000)), 2, sample(two, 2000))
	b := message(message(nil, 1, label("__name__", "n")), 2, sample(one, -5))
	body := message(message(message(nil, 1, a), 3, []byte("metadata")), 1, b)
	l := newLedger()
	require.NoError(t, l.add(delivery{path: sinkPromWrite, encoding: "snappy", body: snappy.Encode(nil, body)}))
	assert.Equal(t, map[string]reading{"__name__=m\tpod=x": {2000, 2}, "__name__=n": {-5, 1}}, l.last)
	assert.Equal(t, 3, l.points)
	for cut := 1; cut < 4; cut++ {
		t.Run(fmt.Sprint("cut=", cut), func(t *testing.T) {
			assert.Error(t, readRemoteWrite(body[:len(body)-cut], l.note))
		})
	}
}
