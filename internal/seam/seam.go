package seam

// Fence gives the member and the generation that a transaction is checked
// against. The broker doesn't look at an empty member and a generation of -1.
func Fence(member string, generation int32) (string, int32) {
	if NoFence {
		return "", -1
	}
	return member, generation
}
