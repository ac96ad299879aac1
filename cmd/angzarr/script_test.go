package main

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
)

var update = flag.Bool("update", false, "write what the program prints into the transcripts' expectations")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"angzarr": main})
}

// TestScripts runs the transcripts in testdata. Each has a front door of its own
// at $ANGZARR_SERVER, with business logic for the domain "shop" behind it, and
// the descriptor set of its types in shop.binpb. A Redis is at $REDIS, and if
// [kafka] holds, a real Kafka at $BROKERS. The commands "pipeline" and "market" put
// a real front door in its place; that of "market" has a Kafka inside.
func TestScripts(t *testing.T) {
	redis, brokers := redistest.Start(t), os.Getenv(logtest.BrokersVariable)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		Cmds:          scriptCommands(),
		UpdateScripts: *update,
		Condition: func(condition string) (bool, error) {
			if condition != "kafka" {
				return false, fmt.Errorf("no such condition: %s", condition)
			}
			return brokers != "", nil
		},
		Setup: func(env *testscript.Env) error {
			door, err := startFakeFrontDoor()
			if err != nil {
				return err
			}
			env.Defer(door.stop)
			env.Setenv("ANGZARR_SERVER", door.address)
			env.Setenv("REDIS", redis)
			env.Setenv("BROKERS", brokers)
			return door.writeDescriptorSet(env.WorkDir + "/shop.binpb")
		},
	})
}

// scriptCommands are what transcripts know beside testscript's own.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"market": market, "until": until, "plain": plain, "grab": grab,
		"pipeline": pipeline, "timeless": timeless,
	}
}
