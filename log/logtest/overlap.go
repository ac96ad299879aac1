package logtest

import (
	"flag"
	"os"
	"testing"
)

// Overlap is the TestMain of packages whose tests mostly wait, for a group to
// settle or for a time to be over: more of them run at the same time than there
// are cores, unless -parallel says how many.
func Overlap(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("6"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
