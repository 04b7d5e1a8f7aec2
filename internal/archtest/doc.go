// Package archtest keeps the promises that the architecture makes about the source: who may import whom, how long a file may
// be, that the manifest, the tree and the documents name the same things. It holds checkers; the tests apply them to the
// tree, and to small wrong trees, which proves that each checker can fail.
package archtest
