package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// work takes a time around the median, with a long tail.
func work(median time.Duration) {
	time.Sleep(time.Duration(float64(median) * math.Exp(rand.NormFloat64()/2)))
}

// number is some number below n.
func number(n int) int { return rand.IntN(n) }

// caller asks another service, as part of the trace.
type caller struct{ http.Client }

func newCaller() caller {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the standard library's own
	t.MaxIdleConnsPerHost = 256
	return caller{http.Client{Transport: otelhttp.NewTransport(t)}}
}

func (c *caller) ask(ctx context.Context, method, url string) error {
	r, err := http.NewRequestWithContext(ctx, method, url, http.NoBody) //nolint:gosec // the shop's own services
	if err != nil {
		return err
	}
	answer, err := c.Do(r) //nolint:gosec // the shop's own services
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, url, answer.Status)
	}
	return nil
}

// newFrontend is what customers see.
func newFrontend(i instruments, checkout, stock string) http.Handler {
	c := newCaller()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(_ http.ResponseWriter, r *http.Request) {
		work(2 * time.Millisecond)
		i.log.Info(fmt.Sprintf("served the start page to session %08x", number(1<<30)), within(r.Context()))
	})
	mux.HandleFunc("GET /product/{id}", func(w http.ResponseWriter, r *http.Request) {
		work(3 * time.Millisecond)
		id := r.PathValue("id")
		if err := c.ask(r.Context(), http.MethodGet, stock+"/level/"+id); err != nil {
			i.log.Error("stock did not answer for product "+id, within(r.Context()), zap.Error(err))
			http.Error(w, "try again", http.StatusBadGateway)
			return
		}
		i.log.Info("served product "+id+" in "+strconv.Itoa(1+number(9))+" ms", within(r.Context()))
	})
	mux.HandleFunc("POST /checkout", func(w http.ResponseWriter, r *http.Request) {
		work(4 * time.Millisecond)
		order := 100_000 + number(900_000)
		if err := c.ask(r.Context(), http.MethodPost, checkout+"/pay/"+strconv.Itoa(order)); err != nil {
			i.log.Warn(fmt.Sprintf("order %d did not go through", order), within(r.Context()))
			http.Error(w, "payment failed", http.StatusInternalServerError)
			return
		}
		i.log.Info(fmt.Sprintf("order %d is on its way", order), within(r.Context()))
	})
	return mux
}

// newCheckout takes payments, of which one in fifty is declined.
func newCheckout(i instruments, stock string) http.Handler {
	c := newCaller()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /pay/{order}", func(w http.ResponseWriter, r *http.Request) {
		work(8 * time.Millisecond)
		order := r.PathValue("order")
		i.log.Debug("authorise order "+order, within(r.Context()))
		switch {
		case number(50) == 0:
			i.log.Error("payment of order "+order+" declined: insufficient funds", within(r.Context()))
			http.Error(w, "declined", http.StatusInternalServerError)
			return
		case number(1500) == 0:
			i.log.Warn("card network fell back to the secondary route", within(r.Context()))
		}
		if err := c.ask(r.Context(), http.MethodPost, stock+"/reserve/"+strconv.Itoa(number(products))); err != nil {
			i.log.Error("could not reserve for order "+order, within(r.Context()), zap.Error(err))
			http.Error(w, "not reserved", http.StatusInternalServerError)
			return
		}
		i.log.Info("order "+order+" paid with card ending "+fmt.Sprintf("%04d", number(10_000)), within(r.Context()))
	})
	return mux
}

// products is how many there are.
const products = 200

// newStock knows how many of each product there are, and how warm its halls
// are: gauges that hardly move, as most do.
func newStock(i instruments) (http.Handler, error) {
	_, err := i.meter.Float64ObservableGauge("shop.hall.temperature", metric.WithUnit("Cel"),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			for hall := range 40 {
				phase := float64(time.Now().UnixMilli())/60_000 + float64(hall)
				o.Observe(18+2*math.Sin(phase)+rand.NormFloat64()/50, metric.WithAttributes(attribute.Int("hall", hall)))
			}
			return nil
		}))
	if err != nil {
		return nil, err
	}
	reserved, err := i.meter.Int64Counter("shop.reserved", metric.WithUnit("{item}"))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /level/{id}", func(_ http.ResponseWriter, r *http.Request) {
		work(time.Millisecond)
		i.log.Debug("read the level of product "+r.PathValue("id"), within(r.Context()))
	})
	mux.HandleFunc("POST /reserve/{id}", func(_ http.ResponseWriter, r *http.Request) {
		work(5 * time.Millisecond)
		reserved.Add(r.Context(), 1, metric.WithAttributes(attribute.String("product", r.PathValue("id"))))
		i.log.Info("reserved product "+r.PathValue("id"), within(r.Context()))
	})
	return mux, nil
}
