package partitioning

import "testing"

func TestFinished(t *testing.T) {
	f := Finished{0: successor(t, "5 7-9 12-13")}
	for offset, want := range map[int64]bool{0: true, 4: true, 5: false, 6: false, 7: true, 8: true, 9: false, 12: true, 13: false} {
		if got, known := f.Has(0, offset); got != want || !known {
			t.Errorf("offset %d is finished: %v, known: %v", offset, got, known)
		}
	}
	if _, known := f.Has(1, 0); known {
		t.Error("a partition without a committed offset is known")
	}
	if _, known := Finished(nil).Has(0, 0); known {
		t.Error("a group without any is known")
	}
}
