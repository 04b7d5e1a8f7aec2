package insight

import "unicode/utf8"

// matchGlob says whether name fits pattern, in which * stands for any text and
// ? for one character. It goes back only to the last *, so that it takes at
// most len(pattern) × len(name) steps; path.Match was rejected because its *
// stops at a slash and because [ and \ occur in names.
func matchGlob(pattern, name string) bool {
	p, n := 0, 0
	star, retry := -1, 0 // where the last * stands, and where its text ends
	for n < len(name) {
		if p < len(pattern) && pattern[p] == '*' {
			star, retry = p, n
			p++
			continue
		}
		if step := matchOne(pattern[p:], name[n:]); step > 0 {
			p++
			n += step
			continue
		}
		if star < 0 {
			return false
		}
		_, size := utf8.DecodeRuneInString(name[retry:])
		retry += size
		p, n = star+1, retry
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne returns how many bytes of name the first byte of pattern consumes,
// 0 if it does not fit.
func matchOne(pattern, name string) int {
	switch {
	case pattern == "":
		return 0
	case pattern[0] == '?':
		_, size := utf8.DecodeRuneInString(name)
		return size
	case pattern[0] == name[0]:
		return 1
	default:
		return 0
	}
}
