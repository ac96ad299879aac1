package main

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// fakeLetters has three letters of the domain "shop": one of a command that broke,
// one of garbage, and one that was too large.
type fakeLetters struct {
	pb.UnimplementedDeadLettersServer
}

func (f *fakeFrontDoor) register(s *grpc.Server) {
	pb.RegisterDeadLettersServer(s, fakeLetters{})
	pb.RegisterErasureServer(s, fakeErasure{})
}

func letterAt(minute int, id string) *pb.DeadLetter {
	return &pb.DeadLetter{
		Domain: "shop", Id: "angzarr.shop.commands/" + id, Cause: "INTERNAL", Attempts: 1, Size: 200,
		Time: timestamppb.New(time.Date(2026, 1, 31, 12, minute, 0, 0, time.UTC)),
	}
}

func (fakeLetters) all() []*pb.DeadLetter {
	uuid, err := parseRoot(oldRoot)
	if err != nil {
		panic(err)
	}
	order, err := proto.Marshal(&pb.CommandBook{
		Cover: &pb.Cover{Domain: "shop", Root: uuid},
		Pages: []*pb.CommandPage{{Command: &anypb.Any{TypeUrl: "type.googleapis.com/shop.PlaceOrder", Value: []byte("\x0a\x03ada")}}},
	})
	if err != nil {
		panic(err)
	}
	broke := letterAt(1, "0/7")
	broke.Root, broke.NextPage, broke.Attempts, broke.CommandId, broke.Message = uuid, 6, 3, "order-1", "division by zero\n\tat line 1"
	broke.Record = &pb.DeadLetter_Record{Key: uuid.Value, Value: order, Headers: []*pb.DeadLetter_Header{{Key: "traceparent", Value: []byte("00-1")}}}
	garbage := letterAt(2, "1/3")
	garbage.Cause, garbage.Message, garbage.CommandId = "INVALID_ARGUMENT", "the record's value is no CommandBook\x1b[2J", "angzarr.shop.commands/1/3"
	garbage.Record = &pb.DeadLetter_Record{Value: []byte("garbage")}
	cut := letterAt(3, "1/9")
	cut.Cause, cut.Message, cut.Cut = "RESOURCE_EXHAUSTED", "too large", true
	return []*pb.DeadLetter{broke, garbage, cut}
}

func (f fakeLetters) List(r *pb.ListDeadLettersRequest, stream grpc.ServerStreamingServer[pb.DeadLetter]) error {
	if d := r.Selection.GetDomain(); d != "" && d != "shop" {
		return status.Errorf(codes.NotFound, "selection.domain: there is no domain %q; there are: shop", d)
	}
	for _, l := range f.all() {
		l.Record = nil
		if r.Dropped {
			l.Dropped = "a test"
		}
		if c := r.Selection.GetCause(); c == "" || c == l.Cause {
			if err := stream.Send(l); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f fakeLetters) Get(_ context.Context, r *pb.GetDeadLetterRequest) (*pb.DeadLetter, error) {
	for _, l := range f.all() {
		if l.Domain == r.Domain && l.Id == r.Id {
			return l, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "id: domain %s has no dead letter %s", r.Domain, r.Id)
}

// Replay applies the first, refuses the second and leaves the third, but for one
// that is named.
func (f fakeLetters) Replay(r *pb.ReplayDeadLettersRequest, stream grpc.ServerStreamingServer[pb.ReplayedDeadLetter]) error {
	letters := f.all()
	told := []*pb.ReplayedDeadLetter{
		{Letter: letters[0], Outcome: &pb.Outcome{FirstPage: 6, LastPage: 7}},
		{Letter: letters[0], Outcome: &pb.Outcome{Code: int32(codes.FailedPrecondition), Message: "no"}},
		{Letter: letters[1], Outcome: &pb.Outcome{Code: int32(codes.InvalidArgument), Message: "no CommandBook", DeadLetter: true}},
		{Letter: letters[1]},
		{Letter: letters[2], NotReplayed: "its record was too large"},
	}
	if len(r.Selection.Ids) > 0 {
		told = told[:2]
	}
	for _, t := range told {
		if err := stream.Send(t); err != nil {
			return err
		}
	}
	return nil
}

func (f fakeLetters) Drop(_ context.Context, r *pb.DropDeadLetterRequest) (*pb.DropDeadLetterResponse, error) {
	l, err := f.Get(context.Background(), &pb.GetDeadLetterRequest{Domain: r.Domain, Id: r.Id})
	if err != nil {
		return nil, err
	}
	return &pb.DropDeadLetterResponse{Letter: l}, nil
}

// fakeErasure knows one root, of which something is left, unless the domain is
// "gone".
type fakeErasure struct {
	pb.UnimplementedErasureServer
}

func (fakeErasure) erased() *pb.Erased {
	return &pb.Erased{LastSequence: 5, ErasedAt: timestamppb.New(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)), Reason: "request 4711"}
}

func (f fakeErasure) Erase(_ context.Context, r *pb.EraseRequest) (*pb.EraseResponse, error) {
	switch {
	case rootText(r.Cover.Root) != oldRoot:
		return nil, status.Errorf(codes.NotFound, "nothing was ever written to %s/%s, so there is nothing to erase", r.Cover.Domain, rootText(r.Cover.Root))
	case r.Cover.Domain == "away":
		return nil, status.Error(codes.Unavailable, "the owner went away")
	case r.CommandId == "":
		return nil, status.Error(codes.InvalidArgument, "the command line makes an id")
	}
	return &pb.EraseResponse{Erased: f.erased()}, nil
}

func (f fakeErasure) Verify(_ context.Context, r *pb.VerifyErasureRequest) (*pb.VerifyErasureResponse, error) {
	gone := &pb.VerifyErasureResponse{Erased: f.erased()}
	if r.Cover.Domain == "gone" {
		return gone, nil
	}
	remains := &pb.VerifyErasureResponse_Remains{Topic: "angzarr.shop.events", Partition: 3, What: "pages and snapshots", Records: 6}
	if rootText(r.Cover.Root) != oldRoot {
		remains.Condition = "they have no tombstone"
		return &pb.VerifyErasureResponse{Remains: []*pb.VerifyErasureResponse_Remains{remains}}, nil
	}
	remains.GoneBy = timestamppb.New(time.Date(2026, 2, 7, 12, 0, 0, 0, time.UTC))
	remains.Condition = "if something is written to the partition after that"
	gone.Remains = append(gone.Remains, remains)
	return gone, nil
}
