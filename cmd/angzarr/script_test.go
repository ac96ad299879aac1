package main

import (
	"flag"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
)

var update = flag.Bool("update", false, "write what the program prints into the transcripts' expectations")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"angzarr": main})
}

// TestScripts runs the transcripts in testdata. Each has a front door of its own
// at $ANGZARR_SERVER, with business logic for the domain "shop" behind it, and
// the descriptor set of its types in shop.binpb. A Redis is at $REDIS.
func TestScripts(t *testing.T) {
	redis := redistest.Start(t)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			door, err := startFakeFrontDoor()
			if err != nil {
				return err
			}
			env.Defer(door.stop)
			env.Setenv("ANGZARR_SERVER", door.address)
			env.Setenv("REDIS", redis)
			return door.writeDescriptorSet(env.WorkDir + "/shop.binpb")
		},
	})
}
