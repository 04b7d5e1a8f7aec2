// Package relabel decides what happens to the attributes of a series: which
// stay, which go, which get another value. It is compiled once a rule and pure:
// it reads no clock, starts nothing and keeps nothing that it was lent.
//
// Three parts decide, from the steady to the slow:
//
//   - Plan holds what a rule says and nothing else: the same attribute always
//     fares the same.
//   - TopK says which values of one attribute are heavy enough to stay. It
//     changes its mind at the edges of intervals only, and slowly, because each
//     change ends series and begins others.
//   - Folder says which attributes fold to respect a limit of series, by exact
//     counts of what each would save, and unfolds late.
//
// Governor joins the slow ones for one metric and publishes what they decided as
// an immutable View. A loop over points asks for identities, not for attributes:
//
//   - Keys, where nothing but keys decides (Plan.DropOnly without a View): the sum
//     over what stays costs a comparison of strings an attribute more than the
//     sum over all.
//   - Rewriter for all other plans: a value that changes is resolved once and
//     remembered by its contribution.
//
// Attributes are made only for an output that is new, by Plan.Rewrite.
// What Rewriter.Identity says is the identity of what Plan.Rewrite makes.
//
// No decision loses anything: an attribute that goes and a value that changes
// move a point to another output, whose total then holds it.
package relabel
