package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// number is what counts are.
type number interface {
	int | uint32 | uint64 | float64
}

// count writes a number, which is never negative, with a comma after each three
// digits.
func count[N number](n N) string {
	digits := strconv.FormatFloat(float64(n), 'f', 0, 64)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// counted is count with a noun, which has an s unless there is one.
func counted[N number](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}

// about is count with ~ in front of an estimate.
func about(n float64, estimated bool) string {
	if estimated {
		return "~" + count(n)
	}
	return count(n)
}

// rate writes a number of series a minute: one decimal while it is small.
func rate(perMinute float64) string {
	switch {
	case perMinute == 0:
		return "0"
	case math.Abs(perMinute) < 9.95:
		return strconv.FormatFloat(perMinute, 'f', 1, 64)
	case perMinute < 0:
		return "-" + count(-perMinute)
	default:
		return count(perMinute)
	}
}

// percent writes a fraction as a percentage with one decimal.
func percent(ratio float64) string { return strconv.FormatFloat(100*ratio, 'f', 1, 64) + "%" }

// size writes a number of bytes in MiB.
func size(bytes float64) string {
	return strconv.FormatFloat(bytes/(1<<20), 'f', 1, 64) + " MiB"
}

// span writes when counting began and ended, in UTC.
func span(from, to time.Time) string {
	from, to = from.UTC(), to.UTC()
	end := to.Format("15:04:05 UTC")
	if from.Format(time.DateOnly) != to.Format(time.DateOnly) {
		end = to.Format("2006-01-02 15:04:05 UTC")
	}
	return fmt.Sprintf("%s to %s", from.Format("2006-01-02 15:04:05"), end)
}

// printable makes text safe for a terminal: names come from whoever sends
// metrics, and could hold escape sequences.
func printable(s string) string {
	clean := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.IndexFunc(s, clean) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}
