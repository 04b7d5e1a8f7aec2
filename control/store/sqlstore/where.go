package sqlstore

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// where collects conditions and their arguments.
type where struct {
	conditions []string
	args       []any
}

// arg adds an argument and returns its placeholder.
func (w *where) arg(value any) string {
	w.args = append(w.args, value)
	return "$" + strconv.Itoa(len(w.args))
}

// compare adds a condition such as name = 'x'.
func (w *where) compare(column, operator string, value any) {
	w.conditions = append(w.conditions, column+" "+operator+" "+w.arg(value))
}

// equal adds a condition unless there is no value.
func (w *where) equal(column, value string) {
	if value != "" {
		w.compare(column, "=", value)
	}
}

// among adds a condition unless values is nil.
func among[T ~string](w *where, column string, values []T) {
	if values == nil {
		return
	}
	if len(values) == 0 {
		w.conditions = append(w.conditions, "1 = 0")
		return
	}
	marks := make([]string, 0, len(values))
	for _, value := range values {
		marks = append(marks, w.arg(string(value)))
	}
	w.conditions = append(w.conditions, column+" IN ("+strings.Join(marks, ", ")+")")
}

// prefix adds conditions that an index can answer.
func (w *where) prefix(column, prefix string) {
	if prefix == "" {
		return
	}
	w.compare(column, ">=", prefix)
	w.compare(column, "<", prefix+string(utf8.MaxRune)) // which no name has: store.CheckName
}

// beyond adds the condition that the columns, taken together, come after the
// values in the order, or before them.
func (w *where) beyond(columns []string, operator string, values []any) {
	marks := make([]string, 0, len(values))
	for _, value := range values {
		marks = append(marks, w.arg(value))
	}
	w.conditions = append(w.conditions,
		"("+strings.Join(columns, ", ")+") "+operator+" ("+strings.Join(marks, ", ")+")")
}

// String is the clause, which may be empty.
func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

// fingerprint tells queries apart, by what is listed and how it is filtered.
func (w *where) fingerprint(list string) [fingerprintSize]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q", list, w.conditions)
	for _, arg := range w.args {
		fmt.Fprintf(h, " %q", fmt.Sprint(arg))
	}
	return [fingerprintSize]byte(h.Sum(nil))
}
