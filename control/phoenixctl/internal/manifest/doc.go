// Package manifest reads the files in which people write policies and price
// models: YAML or JSON, several documents in one file. Every mistake comes with
// its line, also one that only the server finds.
package manifest
