package main

import (
	"fmt"
	"strings"
	"time"
)

// Sizes of the drawing in pixels.
const (
	plotWidth, plotHeight = 1180, 620
	topEdge, floorEdge    = 60, 540
)

// panel maps values to a part of the drawing.
type panel struct{ left, right, maxX, maxY float64 }

func (p panel) x(v float64) float64 { return p.left + (p.right-p.left)*v/p.maxX }
func (p panel) y(v float64) float64 { return floorEdge - (floorEdge-topEdge)*min(v/p.maxY, 1) }

// plot draws the rates of errors on the left, and on the right for how many runs the
// effect of 5 % was found by which hour.
func plot(list []batch) string {
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", plotWidth, plotHeight)
	s.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	drawErrors(&s, list)
	drawPower(&s, list)
	s.WriteString("</svg>\n")
	return s.String()
}

func (p panel) frame(s *strings.Builder, title string, yTicks []float64) {
	text(s, p.left, topEdge-25, "start", title)
	for _, v := range yTicks {
		line(s, p.left, p.y(v), p.right, p.y(v), "#ddd", "")
		text(s, p.left-6, p.y(v)+4, "end", fmt.Sprintf("%g %%", 100*v))
	}
}

func drawErrors(s *strings.Builder, list []batch) {
	var shown []batch
	for _, b := range list {
		if b.right == "" && !b.peeking {
			shown = append(shown, b)
		}
	}
	p := panel{left: 60, right: 560, maxX: float64(len(shown)), maxY: 0.08}
	p.frame(s, "Wrong decisions where both are wrong: ● rollback ○ promotion", []float64{0, 0.02, 0.04, 0.06, 0.08})
	for i, b := range shown {
		x := p.x(float64(i) + 0.5)
		circle(s, x-3, p.y(float64(b.falseRollbacks())/float64(b.runs)), "#b00", "#b00")
		circle(s, x+3, p.y(float64(b.falsePromotions())/float64(b.runs)), "white", "#06c")
		fmt.Fprintf(s, `<text x="%.1f" y="%d" transform="rotate(60 %.1f %d)" font-size="8">%s</text>`+"\n", x-3, floorEdge+12, x-3, floorEdge+12, b.setting)
	}
	if len(shown) > 0 {
		limit := float64(mostErrors(shown[0].runs)) / float64(shown[0].runs)
		line(s, p.left, p.y(limit), p.right, p.y(limit), "#b00", "6 3")
		text(s, p.right, p.y(limit)-4, "end", fmt.Sprintf("accepted to %.2f %%", 100*limit))
	}
}

func drawPower(s *strings.Builder, list []batch) {
	p := panel{left: 640, right: 1020, maxX: 24, maxY: 1}
	p.frame(s, "Runs that found a difference of 5 % by the hour", []float64{0, 0.25, 0.5, 0.75, 1})
	for hour := 0; hour <= 24; hour += 4 {
		text(s, p.x(float64(hour)), floorEdge+16, "middle", fmt.Sprintf("%d h", hour))
	}
	n := 0
	for _, b := range list {
		if b.right == "" || b.peeking {
			continue
		}
		color := fmt.Sprintf("hsl(%d,70%%,40%%)", n*37%360)
		fmt.Fprintf(s, `<polyline fill="none" stroke="%s" points="%s"/>`+"\n", color, p.steps(b.found, b.runs))
		y := topEdge + 20*float64(n)
		line(s, 1032, y, 1048, y, color, "")
		fmt.Fprintf(s, `<text x="1052" y="%.1f" font-size="8">%s</text>`+"\n", y+3, b.setting)
		n++
	}
}

// steps is the distribution of times as points of a line.
func (p panel) steps(found []time.Duration, runs int) string {
	var s strings.Builder
	i := 0
	for at := time.Duration(0); at <= 24*time.Hour; at += interval {
		for i < len(found) && found[i] <= at {
			i++
		}
		fmt.Fprintf(&s, "%.1f,%.1f ", p.x(at.Hours()), p.y(float64(i)/float64(runs)))
	}
	return strings.TrimSpace(s.String())
}

func line(s *strings.Builder, x1, y1, x2, y2 float64, color, dashes string) {
	fmt.Fprintf(s, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-dasharray="%s"/>`+"\n", x1, y1, x2, y2, color, dashes)
}

func circle(s *strings.Builder, x, y float64, fill, stroke string) {
	fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s" stroke="%s"/>`+"\n", x, y, fill, stroke)
}

func text(s *strings.Builder, x, y float64, anchor, what string) {
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, what)
}
