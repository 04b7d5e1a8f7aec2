package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// visit sends so many requests a second, whether or not earlier ones were
// answered, and says at the end how many there were.
func visit(ctx context.Context, frontend string, rate int, lasts time.Duration) error {
	if rate < 1 || lasts <= 0 {
		return fmt.Errorf("rate and for must be positive, got %d and %s", rate, lasts)
	}
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the standard library's own
	t.MaxIdleConnsPerHost = 256
	client := &http.Client{Transport: t, Timeout: 10 * time.Second}
	var wait sync.WaitGroup
	var answered, failed atomic.Int64
	begun := time.Now()
	for n := 0; ; n++ {
		due := begun.Add(time.Duration(n) * time.Second / time.Duration(rate))
		if due.Sub(begun) >= lasts {
			break
		}
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return ctx.Err()
		}
		wait.Go(func() {
			if err := request(ctx, client, frontend); err != nil {
				failed.Add(1)
				return
			}
			answered.Add(1)
		})
	}
	wait.Wait()
	fmt.Printf("%d requests answered, %d not\n", answered.Load(), failed.Load())
	return nil
}

// request is one of ten: six look at the start page, three at a product, one
// buys.
func request(ctx context.Context, client *http.Client, frontend string) error {
	method, url := http.MethodGet, frontend+"/"
	switch dice := number(10); {
	case dice == 0:
		method, url = http.MethodPost, frontend+"/checkout"
	case dice < 4:
		url = frontend + "/product/" + strconv.Itoa(number(products))
	}
	r, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return err
}
