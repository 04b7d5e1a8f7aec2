// Package relabel decides what happens to the attributes of a series: which
// stay, which go, which get another value. It is compiled once a rule and pure:
// it reads no clock, starts nothing and keeps nothing that it was lent.
//
// Three parts decide, from the steady to the slow:
//
//   - Plan holds what a rule says and nothing else: the same attribute always
//     fares the same. A loop over points asks Keys, a bounded memory of the
//     plan's answers, and pays a comparison of strings an attribute.
//   - TopK says which values of one attribute are heavy enough to stay. It
//     changes its mind at the edges of intervals only, and slowly, because each
//     change ends series and begins others.
//   - Folder says which attributes fold to respect a limit of series, by exact
//     counts of what each would save, and unfolds late.
//
// No decision loses anything: an attribute that goes and a value that changes
// move a point to another output, whose total then holds it.
package relabel
