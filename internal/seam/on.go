//go:build chaos_seams

package seam

import "os"

var chosen = os.Getenv("CHAOS_SEAM")

var (
	NoFence = chosen == "fence"
	Short   = map[string]int64{"end": 40}[chosen]
	NoIDs   = chosen == "ids"
)
