// Package stats has the tests that judge experiments. All of it holds though
// somebody looks all the time and stops when he likes what he sees.
//
//	Mean          mean of a series with autocorrelated noise    mirror: saving, cost, latency, memory
//	Bets          shares of failures, one bet a look            errors, refusals
//	Shift         two groups of units, by ranks                 split: saving, cost
//	Slope         the pre-period of a unit as a covariate
//	Spend         error of the planned tests of a sequence
//	SampleRatio   units of the arms against the weights
//
// An e-value is the factor by which a bet against a hypothesis would have grown. If
// the hypothesis holds it ever exceeds 1/α with a probability of at most α (Ville
// 1939), so it may be looked at after every value. They are given as natural
// logarithms. Several tests share an error by each having its part (Bonferroni).
//
// Mirror and split need different tests. With mirror both arms see the same points:
// the looks are what varies, and they resemble those before them. With split the
// assignment of units is what is random, once, so n is the number of units, and
// more looks at the same units are not more data.
package stats
