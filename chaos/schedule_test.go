package chaos

import (
	"reflect"
	"testing"
	"time"
)

func all(kind) bool { return true }

func TestASeedMakesTheSchedule(t *testing.T) {
	first := schedule(7, 10*time.Minute, 4, mixed, all)
	if again := schedule(7, 10*time.Minute, 4, mixed, all); !reflect.DeepEqual(first, again) {
		t.Errorf("the same seed gave\n%v\n%v", first, again)
	}
	if other := schedule(8, 10*time.Minute, 4, mixed, all); reflect.DeepEqual(first, other) {
		t.Error("two seeds gave the same")
	}
}

func TestScheduleHasAllKindsInItsTime(t *testing.T) {
	for seed := range uint64(50) {
		dealt := make(map[kind]bool)
		for _, f := range schedule(seed, 2*time.Minute, 4, mixed, all) {
			dealt[f.Kind] = true
			if f.At+f.For > 2*time.Minute || f.Slot < 0 || f.Slot > 3 {
				t.Errorf("seed %d: %s", seed, f)
			}
			if f.Kind == hang && f.For < hangLeast {
				t.Errorf("seed %d: %s: the session would live on", seed, f)
			}
		}
		for _, k := range mixed {
			if !dealt[k] {
				t.Errorf("seed %d: no %s", seed, k)
			}
		}
	}
}

func TestScheduleLeavesOutWhatIsNotThere(t *testing.T) {
	for _, f := range schedule(1, 5*time.Minute, 4, mixed, func(k kind) bool { return k != broker && !k.ofRedis() }) {
		if f.Kind == broker || f.Kind.ofRedis() {
			t.Error(f)
		}
	}
	if faults := schedule(1, time.Minute, 4, nil, all); len(faults) > 0 {
		t.Errorf("without a deck: %v", faults)
	}
}
