package docs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// documented is the address in the examples.
const documented = "http://localhost:8620"

// curl is a command line of curl, as far as the examples use it.
type curl struct {
	method, url string
	header      http.Header
	body        string
	query       url.Values
	maxTime     time.Duration
	// download: the body goes to a file.
	download bool
}

// parseCurl reads a command line.
func parseCurl(line string) (*curl, error) {
	words, err := shellWords(line)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 || words[0] != "curl" {
		return nil, fmt.Errorf("no curl command: %s", line)
	}
	c := &curl{header: http.Header{}, query: url.Values{}, maxTime: time.Minute}
	get := false
	for words = words[1:]; len(words) > 0; words = words[1:] {
		word := words[0]
		switch word {
		case "-N", "-s":
			continue
		case "-G":
			get = true
			continue
		}
		if !strings.HasPrefix(word, "-") {
			if c.url != "" {
				return nil, fmt.Errorf("two addresses: %s", line)
			}
			c.url = word
			continue
		}
		if len(words) == 1 {
			return nil, fmt.Errorf("%s needs a value: %s", word, line)
		}
		words = words[1:]
		if err := c.option(word, words[0]); err != nil {
			return nil, err
		}
	}
	if c.method == "" {
		c.method = http.MethodGet
		if c.body != "" {
			c.method = http.MethodPost
		}
	}
	if get != (len(c.query) > 0) {
		return nil, errors.New("-G and --data-urlencode go together")
	}
	return c, nil
}

func (c *curl) option(name, value string) (err error) {
	switch name {
	case "-X":
		c.method = value
	case "-H":
		key, text, ok := strings.Cut(value, ": ")
		if !ok {
			return fmt.Errorf("header %q", value)
		}
		c.header.Set(key, text)
	case "-d":
		c.body = value
	case "--data-urlencode":
		key, text, _ := strings.Cut(value, "=")
		c.query.Add(key, text)
	case "--max-time":
		c.maxTime, err = time.ParseDuration(value + "s")
	case "-o":
		c.download = true
	default:
		return fmt.Errorf("curl %s is not known here", name)
	}
	return err
}

// answer is what came back.
type answer struct {
	status string
	code   int
	header http.Header
	body   []byte
}

// do sends the request to a server in place of the documented one. A stream is
// read for the time that --max-time says.
func (c *curl) do(ctx context.Context, address string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.maxTime)
	defer cancel()
	path, found := strings.CutPrefix(c.url, documented)
	if !found {
		return answer{}, fmt.Errorf("the address must begin with %s: %s", documented, c.url)
	}
	if len(c.query) > 0 {
		path += "?" + c.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, c.method, address+path, strings.NewReader(c.body))
	if err != nil {
		return answer{}, err
	}
	request.Header = c.header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // --max-time ended a stream
	}
	return answer{status: response.Proto + " " + response.Status, code: response.StatusCode, header: response.Header, body: body}, err
}

// shellWords divides a line as a shell does: quotes, $variables outside of
// single quotes, and lines that go on behind a backslash.
func shellWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	begun := false
	for _, r := range strings.ReplaceAll(line, "\\\n", " ") {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, begun = r, true
		case quote == 0 && (r == ' ' || r == '\n'):
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		case quote != '\'' && strings.ContainsRune("\\`;|&<>", r):
			return nil, fmt.Errorf("%q is not known here: %s", r, line)
		default:
			if r == '$' && quote == '\'' {
				r = '\x00' // no variable
			}
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote is not closed: %s", line)
	}
	if begun {
		words = append(words, word.String())
	}
	for i, w := range words {
		words[i] = strings.ReplaceAll(os.ExpandEnv(w), "\x00", "$")
	}
	return words, nil
}
