//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package abrouterconnector divides data between the two arms of experiments, or
// shows all of it to both.
package abrouterconnector
