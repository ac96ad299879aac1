package schema

import (
	"context"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Equal says whether two payloads are the same message, however their bytes were
// written: maps and fields have no order. Payloads of types that are not known, or
// that are no such messages, are the same if their bytes are.
func (t *Types) Equal(ctx context.Context, a, b *anypb.Any) bool {
	if bareName(a.GetTypeUrl()) != bareName(b.GetTypeUrl()) {
		return false
	}
	mt, err := t.Find(ctx, a.GetTypeUrl())
	if err != nil {
		return string(a.GetValue()) == string(b.GetValue())
	}
	left, right := mt.New().Interface(), mt.New().Interface()
	options := proto.UnmarshalOptions{AllowPartial: true, Resolver: &resolver{ctx: ctx, types: t, lenient: true}}
	if options.Unmarshal(a.GetValue(), left) != nil || options.Unmarshal(b.GetValue(), right) != nil {
		return string(a.GetValue()) == string(b.GetValue())
	}
	return proto.Equal(left, right)
}
