package frontdoor

import (
	"context"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
)

// Verifier tells what is still there of an aggregate.
type Verifier interface {
	Verify(ctx context.Context, r *angzarr.VerifyErasureRequest) (*angzarr.VerifyErasureResponse, error)
}

// Erasure serves the service of that name: a request to erase goes the way of a
// command.
type Erasure struct {
	angzarr.UnimplementedErasureServer
	Door     *Door
	Verifier Verifier
}

// Verify tells what is still there of an aggregate.
func (e Erasure) Verify(ctx context.Context, r *angzarr.VerifyErasureRequest) (*angzarr.VerifyErasureResponse, error) {
	return e.Verifier.Verify(ctx, r)
}

// Erase erases an aggregate, wherever its owner is.
func (e Erasure) Erase(ctx context.Context, r *angzarr.EraseRequest) (*angzarr.EraseResponse, error) {
	if st := business.CheckErase(r); st != nil {
		return nil, st.Err()
	}
	r.CommandId, _ = identify(r.CommandId, "")
	answer, err := e.Door.answer(ctx, &parcel{erase: r, cover: r.Cover, id: r.CommandId, size: proto.Size(r)})
	if err != nil {
		return nil, err
	}
	return &angzarr.EraseResponse{Erased: answer.Books[0].Erased}, nil
}
