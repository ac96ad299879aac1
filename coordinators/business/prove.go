package business

import "github.com/angzarr/angzarr-kafka/partitioning"

// prove has the group confirm that refusals come from the owner.
func (w *Worker) prove() {
	if w.proving || len(w.unproved) == 0 {
		return
	}
	w.proving = true
	asking := w.unproved
	w.unproved = nil
	var claims []*partitioning.Claim
	for p := range partsOf(asking) {
		claims = append(claims, p.claim)
	}
	w.loop.Aside(func() func() {
		err := w.prover(w.work, claims)
		return func() { w.proved(asking, err) }
	})
}

// proved answers refusals, or leaves the commands to the next owner.
func (w *Worker) proved(asking []*decision, err error) {
	w.proving = false
	for _, d := range asking {
		switch {
		case err == nil && d.refused != nil:
			w.finish(d.command, nil, d.refused.Err())
		case err == nil:
			w.finish(d.command, w.bookOf(d), nil)
		default:
			w.finish(d.command, nil, ErrNotOwner)
		}
	}
	w.step()
}
