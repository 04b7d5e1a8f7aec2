//go:build !race

package template_test

const underRace = false
