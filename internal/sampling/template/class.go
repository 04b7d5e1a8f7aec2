package template

// class is what a byte can be part of.
type class uint16

const (
	blank class = 1 << iota
	separator
	quote
	digit
	path  // in words: what paths and addresses have
	other // in words: letters that are no hexadecimal digits
	mark  // in words: neither letter nor digit
	dot
	joins // may be between two values that count as one
	ends  // ends the value in key=value
)

// kinds are those that end a word.
const kinds = blank | separator | quote

var classes = table()

func table() (t [256]class) {
	for c := range t {
		switch {
		case c >= '0' && c <= '9':
			t[c] = digit
		case c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			t[c] = 0
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= 0x80:
			t[c] = other
		default:
			t[c] = mark
		}
	}
	set := func(chars string, to class) {
		for _, c := range []byte(chars) {
			t[c] = to
		}
	}
	set(" \t\r\n", blank|joins|ends)
	set("=({[<!?", separator)
	set(")}];|>", separator|ends)
	set(",", separator|joins|ends)
	set(":", separator|joins)
	set("\"'`", quote)
	set(`/\@`, mark|path)
	set(".", mark|dot)
	return t
}
