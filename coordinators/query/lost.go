package query

import (
	"context"

	"github.com/angzarr/angzarr-kafka/log"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// lost says that what was delivered is not in the log any more. Then nothing that
// comes follows upon it: the subscriber has to make anew what it made of it. Where
// that can't be found out, it is asked again when the log is read.
func (f *feed) lost(ctx context.Context) error {
	read := make(map[int32]log.Reach, len(f.place.parts))
	for i, p := range f.place.parts {
		if f.place.at[i] > 0 {
			read[p] = log.Reach{Offset: f.place.at[i], Epoch: f.place.epochs[i]}
		}
	}
	if len(read) == 0 {
		return nil
	}
	cut, err := f.service.admin.Lost(ctx, log.EventsTopic(f.domain), read)
	if err != nil {
		f.service.log.Debug("it is not known whether the log is still what it was", "domain", f.domain, "error", err)
	}
	for p, at := range cut {
		return status.Errorf(codes.DataLoss, "position: the brokers have lost records: partition %d of domain %q is what it was up to offset %d only, and this is at %d; make anew what you made of it, from a subscription without a position",
			p, f.domain, at, read[p].Offset)
	}
	return nil
}

// follows fails if what was read under that epoch does not follow upon what was
// delivered.
func (f *feed) follows(ctx context.Context, i int, epoch int32) error {
	if known := f.place.epochs[i]; known < 0 || epoch <= known {
		return nil
	}
	return f.lost(ctx)
}

// skip has the feed begin at the end, and gives where that is: what is being
// committed still comes.
func (f *feed) skip(ctx context.Context) (map[int32]int64, error) {
	topic := log.EventsTopic(f.domain)
	ends, err := f.service.admin.StableOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	epochs, err := f.service.admin.Epochs(ctx, topic)
	if err != nil {
		return nil, err
	}
	for i, p := range f.place.parts {
		f.place.move(i, ends[p], epochs[p])
		f.told[i] = ends[p]
	}
	return ends, nil
}
