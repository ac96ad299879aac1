package frontdoor

import (
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// room bounds the calls that wait for an owner elsewhere. Those that wait for one
// here are the worker's to bound.
type room struct {
	most  int64 // limits.waiting
	taken atomic.Int64
}

// enter lets a parcel in, which leave must follow, or says why not. Who was let in
// stays so for all of its tries.
func (r *room) enter(p *parcel) error {
	if p.inside {
		return nil
	}
	if n := r.taken.Add(1); n > r.most {
		r.taken.Add(-1)
		return status.Errorf(codes.ResourceExhausted,
			"%d calls are waiting in this process for owners in others, which is all that limits.waiting allows", r.most)
	}
	p.inside = true
	return nil
}

func (r *room) leave(p *parcel) {
	if p.inside {
		r.taken.Add(-1)
		p.inside = false
	}
}
