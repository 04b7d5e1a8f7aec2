package template

import "strings"

const (
	// maxMessage is how many bytes of a message are looked at.
	maxMessage = 1024
	// maxTemplate is how long a template is at most.
	maxTemplate = 256
	// maxWord is how long a word is at most: what is longer is a value.
	maxWord = 64
	// minHexWord is how long a word of the letters a to f must be to be a value:
	// "deadbeef", but not "added".
	minHexWord = 8

	placeholder = "<*>"
)

// Append appends the template of a message to dst and returns the extended
// slice. The caller owns dst; nothing is retained.
func Append(dst []byte, message string) []byte {
	m := mask{in: message[:min(len(message), maxMessage)], out: dst, begin: len(dst), value: -1, key: -1}
	m.run()
	return m.out
}

// mask reads in from at and writes the template to out.
type mask struct {
	in string
	at int

	out   []byte
	begin int  // of the template in out
	value int  // where out ended after the last value; -1: what followed is more than what separates values
	user  bool // the last word was "user"
	open  byte // the quote that is open, of which the text is read; 0: none
	key   int  // where in out the last word began that ended just before at; -1: there is none
}

func (m *mask) run() {
	for m.at < len(m.in) && len(m.out) < m.begin+maxTemplate {
		switch c := m.in[m.at]; classes[c] & kinds {
		case blank:
			m.at++
			m.blank()
		case separator:
			m.separator(c)
		case quote:
			m.quote(c)
		default:
			m.word()
		}
	}
	if len(m.out) > m.begin+maxTemplate {
		m.out = m.out[:m.begin+maxTemplate]
	}
	for len(m.out) > m.begin && m.out[len(m.out)-1] == ' ' {
		m.out = m.out[:len(m.out)-1]
	}
}

// blank writes one blank for any number of them.
func (m *mask) blank() {
	m.key = -1
	if n := len(m.out); n > m.begin && m.out[n-1] != ' ' {
		m.out = append(m.out, ' ')
	}
}

// literal writes a byte that is no part of a value.
func (m *mask) literal(c byte) {
	m.out = append(m.out, c)
	if classes[c]&joins == 0 {
		m.value = -1
	}
}

// hide writes a value, or nothing if only separators are between it and the value
// before.
func (m *mask) hide() {
	m.key = -1
	if m.value >= 0 {
		m.out = m.out[:m.value]
		return
	}
	m.out = append(m.out, placeholder...)
	m.value = len(m.out)
}

func (m *mask) separator(c byte) {
	key := m.key
	m.key, m.user = -1, false
	m.at++
	m.literal(c)
	if key >= 0 && c == '=' && !m.is('=') {
		m.assigned(key)
	}
}

// is says whether c comes next.
func (m *mask) is(c byte) bool { return m.at < len(m.in) && m.in[m.at] == c }

// assigned masks the value of a key, which begins here; it may be empty.
func (m *mask) assigned(key int) {
	if tells(m.out[key : len(m.out)-1]) {
		if m.at < len(m.in) && classes[m.in[m.at]]&kinds == quote {
			m.enter(m.in[m.at])
		}
		return
	}
	if m.at < len(m.in) {
		m.at = m.endOfValue()
	}
	m.hide()
}

// endOfValue is where the value ends that begins here.
func (m *mask) endOfValue() int {
	switch c := m.in[m.at]; c {
	case '"', '\'', '`':
		if end := m.endOfQuote(c); end >= 0 {
			return end + 1
		}
	case '{', '[', '(', '<':
		return m.endOfBrackets()
	}
	end := m.at
	for end < len(m.in) && classes[m.in[end]]&ends == 0 {
		end++
	}
	return end
}

// endOfBrackets is behind the bracket that closes the one here.
func (m *mask) endOfBrackets() int {
	depth := 0
	for i := m.at; i < len(m.in); i++ {
		switch m.in[i] {
		case '{', '[', '(', '<':
			depth++
		case '}', ']', ')', '>':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(m.in)
}

// endOfQuote is where the quote is that closes the one here, or -1.
func (m *mask) endOfQuote(c byte) int {
	for i := m.at + 1; i < len(m.in); i++ {
		switch m.in[i] {
		case '\\':
			i++
		case c:
			return i
		}
	}
	return -1
}

// quote masks what is in quotes, unless it is a key, or says what happened.
func (m *mask) quote(c byte) {
	m.key, m.user = -1, false
	if c == m.open {
		m.inside(c)
		return
	}
	if m.open == 0 && m.message() {
		m.enter(c)
		return
	}
	end := m.endOfQuote(c)
	switch {
	case end < 0: // what follows is read as if it were not in quotes
		m.at++
		m.literal(c)
	case c == '"' && end+1 < len(m.in) && m.in[end+1] == ':' && m.object():
		m.member(end)
	default:
		m.at = end + 1
		m.hide()
	}
}

// enter opens a quote of which the text is read.
func (m *mask) enter(c byte) {
	m.at++
	m.literal(c)
	m.open = c
}

// inside is at a quote of the kind that is open: its end, or \"one in it\".
func (m *mask) inside(c byte) {
	m.at++
	if m.at < 2 || m.in[m.at-2] != '\\' {
		m.literal(c)
		m.open = 0
		return
	}
	if end := strings.IndexByte(m.in[m.at:], '\\'); end >= 0 && m.at+end+1 < len(m.in) && m.in[m.at+end+1] == c {
		m.at += end + 2
	}
	m.hide()
}

// message says whether a quote here opens the message of a structured line.
func (m *mask) message() bool {
	n := len(m.out)
	return n == m.begin || n >= m.begin+2 && m.out[n-1] == ' ' && m.out[n-2] == ']'
}

// object says whether a quote here can open the key of a member.
func (m *mask) object() bool {
	n := len(m.out)
	if n > m.begin && m.out[n-1] == ' ' {
		n--
	}
	return n > m.begin && (m.out[n-1] == '{' || m.out[n-1] == ',')
}

// member masks a member of a JSON object, of which the key ends at end.
func (m *mask) member(end int) {
	key := m.in[m.at+1 : end]
	m.literal('"')
	m.at++
	if len(key) > maxWord || strings.ContainsAny(key, "0123456789") {
		m.hide()
	} else {
		m.out = append(m.out, key...)
	}
	m.value = -1
	m.out = append(m.out, `":`...)
	m.at = end + 2
	for m.is(' ') {
		m.at++
	}
	if m.at == len(m.in) || m.is('{') || m.is('[') {
		return
	}
	if tells([]byte(key)) && m.is('"') {
		m.enter('"')
		return
	}
	m.at = m.endOfValue()
	m.hide()
}

// word copies a word, or masks it.
func (m *mask) word() {
	begin, found := m.at, class(0)
	end := begin
	for end < len(m.in) {
		c := classes[m.in[end]]
		if c&kinds != 0 && (m.in[end] != '\'' || end == begin) { // it's
			break
		}
		found |= c
		end++
	}
	m.at = end
	text := m.in[begin:end]
	dots := len(text)
	for dots > 0 && text[dots-1] == '.' {
		dots--
	}
	if text = text[:dots]; m.user && len(text) > 0 || m.hidden(text, found) {
		m.hide()
	} else {
		m.key = len(m.out)
		m.value = -1
		m.out = append(m.out, text...)
	}
	m.user = text == "user" && end < len(m.in) && m.in[end] == ' '
	if begin+dots < end {
		m.value, m.key = -1, -1
		m.out = append(m.out, '.') // an ellipsis is a stop
	}
}

// hidden says whether a word is a value.
func (m *mask) hidden(text string, found class) bool {
	switch {
	case found&digit != 0, len(text) > maxWord:
		return true
	case found&path != 0:
		return aPath(text)
	case found&dot != 0:
		return aHost(text)
	case len(text) == 3:
		return inDate(text, m.in[m.at:])
	case found&(other|mark) == 0:
		return len(text) >= minHexWord || len(text) > 0 && m.value >= 0 && m.out[len(m.out)-1] == ':' // fe80::dead
	default:
		return false
	}
}

// inDate knows the names of days and months. Otherwise each day would have its
// own templates. "May" is one only before a number.
func inDate(text, rest string) bool {
	switch text {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun",
		"Jan", "Feb", "Mar", "Apr", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec":
		return true
	case "May":
		rest = strings.TrimLeft(rest, " ")
		return rest != "" && classes[rest[0]]&digit != 0
	default:
		return false
	}
}

// aHost tells names of hosts, by their last label, from those of packages, classes
// and files.
func aHost(text string) bool {
	switch text[strings.LastIndexByte(text, '.')+1:] {
	case "com", "net", "org", "edu", "gov", "io", "dev", "local", "localdomain", "internal", "lan", "svc":
		return text[0] != '.'
	default:
		return false
	}
}

// aPath tells paths, URLs and addresses from and/or, application/json, @Override.
func aPath(text string) bool {
	if len(text) < 2 {
		return false
	}
	if strings.IndexByte(text[1:], '@') >= 0 || strings.IndexByte(text, '\\') >= 0 {
		return true
	}
	first := strings.IndexByte(text, '/')
	return first == 0 || first > 0 && strings.IndexByte(text[first+1:], '/') >= 0
}

// tells says whether the value of a key is the message.
func tells(key []byte) bool {
	switch string(key) {
	case "msg", "message", "event", "err", "error", "reason":
		return true
	default:
		return false
	}
}
