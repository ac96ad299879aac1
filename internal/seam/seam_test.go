//go:build !chaos_seams

package seam

import "testing"

// That these are constants is what keeps the rest out of the program: variables
// would not compile here.
const anyOff = NoFence || NoIDs || Apart || Short != 0

func TestNothingIsSwitchedOff(t *testing.T) {
	if anyOff {
		t.Error("a program as it is built does without a rule")
	}
}
