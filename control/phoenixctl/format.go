package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

const stampLayout = "2006-01-02 15:04:05"

// stamp writes a time in UTC, - if there is none.
func stamp(t *timestamppb.Timestamp) string {
	if t == nil {
		return none
	}
	return t.AsTime().UTC().Format(stampLayout)
}

// between writes an interval: what is expected, and its bounds if they differ.
func between(i *pb.Interval) string {
	switch {
	case i == nil:
		return none
	case i.GetLow() == i.GetHigh():
		return signed(i.GetExpected())
	default:
		return fmt.Sprintf("%s (%s to %s)", signed(i.GetExpected()), signed(i.GetLow()), signed(i.GetHigh()))
	}
}

// signed is count for numbers that may be negative.
func signed(n float64) string {
	if n <= -0.5 {
		return "-" + count(-n)
	}
	return count(max(n, 0))
}

// money writes an amount as people do: to the cent unless it is less.
func money(amount string) string {
	if amount == "" {
		return none
	}
	sign := ""
	if rest, negative := strings.CutPrefix(amount, "-"); negative {
		sign, amount = "-", rest
	}
	whole, fraction, _ := strings.Cut(amount, ".")
	var grouped strings.Builder
	for i, d := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			grouped.WriteByte(',')
		}
		grouped.WriteRune(d)
	}
	if strings.Trim(whole, "0") == "" && strings.Trim(fraction, "0") != "" {
		// Less than one: three digits that count.
		zeros := len(fraction) - len(strings.TrimLeft(fraction, "0"))
		fraction = fraction[:min(len(fraction), zeros+3)]
	} else {
		fraction = fraction[:min(len(fraction), 2)]
	}
	for len(fraction) < 2 {
		fraction += "0"
	}
	return sign + grouped.String() + "." + fraction
}

// moneyBetween is between for amounts.
func moneyBetween(i *pb.MoneyInterval) string {
	switch {
	case i == nil:
		return none
	case i.GetLow() == i.GetHigh():
		return money(i.GetExpected())
	default:
		return fmt.Sprintf("%s (%s to %s)", money(i.GetExpected()), money(i.GetLow()), money(i.GetHigh()))
	}
}

// fraction writes part of whole as a percentage.
func fraction(part, whole float64) string {
	if whole == 0 {
		return none
	}
	return percent(part / whole)
}

// printWarnings writes what to know before believing an answer.
func printWarnings(w io.Writer, warnings []string) {
	for _, text := range warnings {
		_, _ = fmt.Fprintf(w, "Warning: %s\n", printable(text))
	}
}

// instant reads a time as a person writes it: RFC 3339, a day, or how long ago.
func instant(text string, now time.Time) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no bound
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return timestamppb.New(now.Add(-ago)), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return timestamppb.New(t), nil
		}
	}
	return nil, fmt.Errorf("must be a time such as 2026-03-11T12:00:00Z, a day such as 2026-03-11, or how long ago, such as 24h; got %q", text)
}
