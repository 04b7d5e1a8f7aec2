//go:build race

package adaptivesamplerprocessor

const underRace = true
