package main

import (
	"maps"
	"slices"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// reported ends a command whose refusal is on stderr, with the exit status that
// belongs to it.
func reported(why *status.Status) error {
	switch why.Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return unknownError{errReported}
	}
	return errReported
}

// refusal prints a status: its code as the contract spells it, what it says, and
// its details.
func (p *printer) refusal(why *status.Status) {
	p.printf("%s: %s\n", code.Code(why.Code()), printable(why.Message()))
	for _, detail := range why.Proto().GetDetails() {
		p.detail(detail)
	}
}

func (p *printer) detail(detail *anypb.Any) {
	if book := new(pb.EventBook); detail.MessageIs(book) && detail.UnmarshalTo(book) == nil {
		p.printf("  the book as it is:\n")
		p.textPages(book, "  ")
		return
	}
	if answer := new(pb.SynchronousProcessingResponse); detail.MessageIs(answer) && detail.UnmarshalTo(answer) == nil {
		p.printf("what it has led to so far:\n")
		p.textAnswer(answer) //nolint:errcheck // kept in p.err
		return
	}
	info := new(errdetails.ErrorInfo)
	if !detail.MessageIs(info) || detail.UnmarshalTo(info) != nil {
		p.printf("  %s\n", p.payload(detail))
		return
	}
	p.printf("  reason %s", printable(info.GetReason()))
	if info.GetDomain() != "" {
		p.printf(" (%s)", printable(info.GetDomain()))
	}
	p.printf("\n")
	for _, key := range slices.Sorted(maps.Keys(info.GetMetadata())) {
		p.printf("  %s %s\n", printable(key), printable(info.GetMetadata()[key]))
	}
}

// codeName is a code's name as the contract spells it.
func codeName(c codes.Code) string { return code.Code(c).String() }
