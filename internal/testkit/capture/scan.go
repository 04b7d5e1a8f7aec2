package capture

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// label is one pair of a sample line.
type label struct{ name, value string }

// sample is one sample line. Its value is checked to be there and not read:
// series are counted, not added.
type sample struct {
	name   string
	labels []label
}

var (
	errNoName      = errors.New("sample without a metric name")
	errNoValue     = errors.New("sample without a value")
	errTypeLine    = errors.New("# TYPE wants a name and a type")
	errLabelName   = errors.New("label without a name")
	errLabelQuote  = errors.New("label value is not quoted")
	errUnfinished  = errors.New("label value or label set is not closed")
	errEscape      = errors.New("unknown escape in label value")
	errQuotedName  = errors.New("quoted metric and label names are not supported")
	errTypeChanged = errors.New("# TYPE differs from the one before")
)

// scan calls onType for every # TYPE line and onSample for every sample line,
// in the order of the text. An error names the line.
func scan(text []byte, onType func(name, kind string) error, onSample func(sample) error) error {
	for number := 1; len(text) > 0; number++ {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		if err := scanLine(string(line), onType, onSample); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	return nil
}

func scanLine(line string, onType func(name, kind string) error, onSample func(sample) error) error {
	line = strings.Trim(line, " \t\r")
	switch {
	case line == "":
		return nil
	case line[0] != '#':
		s, err := scanSample(line)
		if err != nil {
			return err
		}
		return onSample(s)
	}
	words := strings.Fields(line[1:])
	if len(words) == 0 || words[0] != "TYPE" {
		return nil // # HELP, or a comment
	}
	if len(words) != 3 {
		return errTypeLine
	}
	return onType(words[1], words[2])
}

func scanSample(line string) (sample, error) {
	end := strings.IndexAny(line, "{ \t")
	switch {
	case end == 0 && strings.HasPrefix(line, `{"`):
		return sample{}, errQuotedName
	case end == 0:
		return sample{}, errNoName
	case end < 0:
		return sample{}, errNoValue
	}
	s, rest := sample{name: line[:end]}, strings.TrimLeft(line[end:], " \t")
	if strings.HasPrefix(rest, "{") {
		var err error
		if s.labels, rest, err = scanLabels(rest[1:]); err != nil {
			return sample{}, err
		}
	}
	if strings.Trim(rest, " \t") == "" {
		return sample{}, errNoValue
	}
	return s, nil
}

// scanLabels reads what stands between the braces, and returns what follows
// them.
func scanLabels(text string) (labels []label, rest string, err error) {
	for {
		text = strings.TrimLeft(text, " \t")
		if rest, closed := strings.CutPrefix(text, "}"); closed {
			return labels, rest, nil
		}
		name, after, found := strings.Cut(text, "=")
		if !found {
			return nil, "", errUnfinished
		}
		name = strings.Trim(name, " \t")
		switch {
		case name == "":
			return nil, "", errLabelName
		case name[0] == '"':
			return nil, "", errQuotedName
		}
		after, quoted := strings.CutPrefix(strings.TrimLeft(after, " \t"), `"`)
		if !quoted {
			return nil, "", errLabelQuote
		}
		value, after, err := scanValue(after)
		if err != nil {
			return nil, "", err
		}
		labels = append(labels, label{name: name, value: value})
		text = strings.TrimLeft(after, " \t")
		text = strings.TrimPrefix(text, ",") // one after the last pair is allowed
	}
}

// scanValue reads a label value up to its closing quote. The format knows
// three escapes: \\, \" and \n.
func scanValue(text string) (value, rest string, err error) {
	end := strings.IndexAny(text, `"\`)
	if end >= 0 && text[end] == '"' {
		return text[:end], text[end+1:], nil // the usual case, nothing escaped
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			return b.String(), text[i+1:], nil
		case '\\':
			i++
			if i == len(text) {
				return "", "", errUnfinished
			}
			c, known := unescape(text[i])
			if !known {
				return "", "", fmt.Errorf("%w: \\%c", errEscape, text[i])
			}
			b.WriteByte(c)
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", errUnfinished
}

func unescape(c byte) (unescaped byte, known bool) {
	switch c {
	case '\\', '"':
		return c, true
	case 'n':
		return '\n', true
	}
	return 0, false
}
