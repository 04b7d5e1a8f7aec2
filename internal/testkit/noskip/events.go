package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is one line of `go test -json`; see `go doc test2json` and `go help buildjson`.
type event struct {
	Action     string
	Package    string
	Test       string
	Elapsed    float64
	Output     string
	ImportPath string // of build-output and build-fail, instead of Package
}

// summary is what a whole run came to.
type summary struct {
	passed  int
	failed  []string // "package.Test", or the package alone when it did not build, panicked or timed out
	skipped []string
}

// transcript holds what the tests of one package printed, until it is known who needs it.
type transcript struct {
	order   []string // tests in the order of their first line; "" is the package itself
	output  map[string]*strings.Builder
	running []string // tests that began and did not end yet
}

func (t *transcript) add(test, text string) {
	if t.output == nil {
		t.output = make(map[string]*strings.Builder)
	}
	b, ok := t.output[test]
	if !ok {
		b = new(strings.Builder)
		t.output[test] = b
		t.order = append(t.order, test)
	}
	b.WriteString(text)
}

// forget drops the output of a test that nobody will ask about.
func (t *transcript) forget(test string) {
	delete(t.output, test)
	t.order = slices.DeleteFunc(t.order, func(s string) bool { return s == test })
}

func (t *transcript) write(w io.Writer) {
	for _, test := range t.order {
		fmt.Fprint(w, t.output[test])
	}
}

// reader turns events into a report on w.
type reader struct {
	w        io.Writer
	sum      summary
	packages map[string]*transcript
}

// read consumes a whole run. Lines that are not events (a go command that speaks plainly) are passed on as they are.
func read(r io.Reader, w io.Writer) (summary, error) {
	rd := reader{w: w, packages: make(map[string]*transcript)}
	in := bufio.NewReader(r) // a Scanner would give up at its longest line
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if line[0] != '{' || json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(w, "%s", line)
			} else {
				rd.take(e)
			}
		}
		if err == io.EOF {
			return rd.sum, nil
		}
		if err != nil {
			return rd.sum, err
		}
	}
}

func (r *reader) take(e event) {
	switch e.Action {
	case "run":
		t := r.of(e.Package)
		t.running = append(t.running, e.Test)
	case "output":
		r.of(e.Package).add(e.Test, e.Output)
	case "build-output":
		fmt.Fprint(r.w, e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(e)
		}
	}
}

func (r *reader) endTest(e event) {
	name := e.Package + "." + e.Test
	t := r.of(e.Package)
	t.running = slices.DeleteFunc(t.running, func(s string) bool { return s == e.Test })
	switch e.Action {
	case "pass":
		r.sum.passed++
		t.forget(e.Test)
	case "skip":
		r.sum.skipped = append(r.sum.skipped, name+reason(t, e.Test))
		t.forget(e.Test)
	case "fail":
		r.sum.failed = append(r.sum.failed, name)
	}
}

// endPackage prints one line for a good package, and for a bad one what its failed and unfinished tests said.
func (r *reader) endPackage(e event) {
	t := r.of(e.Package)
	delete(r.packages, e.Package)
	switch e.Action {
	case "pass":
		fmt.Fprintf(r.w, "ok    %7.2fs %s\n", e.Elapsed, e.Package)
	case "skip": // a package without tests; the word is the go command's
		fmt.Fprintf(r.w, "-              %s\n", e.Package)
	case "fail":
		t.write(r.w)
		fmt.Fprintf(r.w, "FAIL  %7.2fs %s\n", e.Elapsed, e.Package)
		for _, test := range t.running { // the package panicked or ran out of time
			r.sum.failed = append(r.sum.failed, e.Package+"."+test+" (did not end)")
		}
		if !slices.ContainsFunc(r.sum.failed, func(s string) bool { return strings.HasPrefix(s, e.Package+".") }) {
			r.sum.failed = append(r.sum.failed, e.Package)
		}
	}
}

func (r *reader) of(pkg string) *transcript {
	t, ok := r.packages[pkg]
	if !ok {
		t = new(transcript)
		r.packages[pkg] = t
	}
	return t
}

// reason is what a skipped test said about it, on one line.
func reason(t *transcript, test string) string {
	b, ok := t.output[test]
	if !ok {
		return ""
	}
	var said []string
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			said = append(said, line)
		}
	}
	if len(said) == 0 {
		return ""
	}
	return " (" + strings.Join(said, " ") + ")"
}

// print writes the totals and says whether all is well: something passed, nothing failed, nothing was skipped.
func (s summary) print(w io.Writer) bool {
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", s.passed, len(s.failed), len(s.skipped))
	for _, name := range s.failed {
		fmt.Fprintln(w, "failed: ", name)
	}
	for _, name := range s.skipped {
		fmt.Fprintln(w, "skipped:", name)
	}
	if len(s.skipped) > 0 {
		fmt.Fprintln(w, "A skipped test proves nothing: give it what it needs, or give it another build tag.")
	}
	if s.passed == 0 {
		fmt.Fprintln(w, "No test passed: were the packages named right?")
	}
	return s.passed > 0 && len(s.failed) == 0 && len(s.skipped) == 0
}
