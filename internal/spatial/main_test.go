package spatial_test

import (
	"flag"
	"os"
	"testing"
)

// A property holds for 1,000 cases unless -rapid.checks says otherwise; 100, the default of rapid, miss rare kinds.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", "1000"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
