package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
)

const urlPrefix = "type.googleapis.com/"

// Encode packs text, a message in protobuf's JSON mapping, as the named type.
// Field names may be as in the .proto file or as JSON has them. Errors are an
// *UnknownTypeError, or say where the text does not fit and what would.
func (t *Types) Encode(ctx context.Context, name string, text []byte) (*anypb.Any, error) {
	mt, err := t.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	md := mt.Descriptor()
	if err := wellFormed(text); err != nil {
		return nil, fmt.Errorf("%s: %w", md.FullName(), err)
	}
	m := mt.New().Interface()
	r := &resolver{ctx: ctx, types: t}
	if err := r.unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s: %w", md.FullName(), r.explain(md, text, err))
	}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", md.FullName(), plain(err))
	}
	return &anypb.Any{TypeUrl: urlPrefix + string(md.FullName()), Value: value}, nil
}

// wellFormed says where text stops being JSON.
func wellFormed(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("the JSON is empty; a message without fields is {}")
	}
	var any json.RawMessage
	err := json.Unmarshal(text, &any)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		before := text[:max(0, min(int(syntax.Offset)-1, len(text)))]
		line := bytes.Count(before, []byte("\n")) + 1
		column := len(before) - bytes.LastIndexByte(before, '\n')
		return fmt.Errorf("not JSON, at line %d, column %d: %w", line, column, err)
	}
	return err
}

// resolver finds the types inside Any fields, for the time of one call.
type resolver struct {
	ctx   context.Context // of the call that the resolver lives for
	types *Types
	// lenient lets unknown types pass as messages without fields, and notes them.
	lenient bool
	unknown []string
}

func (r *resolver) unmarshal(text []byte, m proto.Message) error {
	return protojson.UnmarshalOptions{Resolver: r}.Unmarshal(text, m)
}

func (r *resolver) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	return r.FindMessageByURL(string(name))
}

func (r *resolver) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	mt, err := r.types.Find(r.ctx, url)
	if err == nil || !r.lenient {
		return mt, err
	}
	md, blankErr := blank(protoreflect.FullName(bareName(url)))
	if blankErr != nil {
		return nil, err
	}
	r.unknown = append(r.unknown, bareName(url))
	return dynamicpb.NewMessageType(md), nil
}

func (r *resolver) FindExtensionByName(protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return nil, protoregistry.NotFound
}

func (r *resolver) FindExtensionByNumber(protoreflect.FullName, protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return nil, protoregistry.NotFound
}

// plain is an error of the protobuf library without its mark, in which the
// library changes the space from build to build so that nobody compares it.
func plain(err error) error {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return errors.New(strings.TrimPrefix(text, "proto: "))
}
