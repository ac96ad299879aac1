package schema

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
)

// JSON returns the payload in protobuf's JSON mapping, on one line, fields that
// have their default value included. The error is an *UnknownTypeError, or says
// that the bytes are no such message.
func (t *Types) JSON(ctx context.Context, payload *anypb.Any) ([]byte, error) {
	text, _, err := t.decode(ctx, payload)
	return text, err
}

// Render shows a payload to people: as JSON, on one line or, where indent is
// not empty, on lines indented by it. Of a payload that nobody can read it shows
// the first bytes; what the JSON leaves out is remarked behind it.
func (t *Types) Render(ctx context.Context, payload *anypb.Any, indent string) string {
	text, remark, err := t.decode(ctx, payload)
	if err != nil {
		return Raw(payload)
	}
	if indent != "" {
		var lines bytes.Buffer
		if json.Indent(&lines, text, "", indent) == nil {
			text = lines.Bytes()
		}
	}
	return string(text) + remark
}

// visible writes what would steer a terminal, or turn the reading direction, as
// JSON's escapes. JSON without spaces has such characters in strings only.
func visible(text []byte) []byte {
	if bytes.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return text
	}
	var shown []byte
	for _, r := range string(text) {
		if unicode.IsPrint(r) {
			shown = utf8.AppendRune(shown, r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			shown = fmt.Appendf(shown, "\\u%04x", unit)
		}
	}
	return shown
}

// Raw shows a payload without knowing its type: its length, and its first bytes
// in hexadecimal.
func Raw(payload *anypb.Any) string {
	const most = 32
	value := payload.GetValue()
	switch n := len(value); {
	case n == 0:
		return "(no bytes)"
	case n == 1:
		return "(1 byte) " + hex.EncodeToString(value)
	case n <= most:
		return fmt.Sprintf("(%d bytes) %x", n, value)
	default:
		return fmt.Sprintf("(%d bytes) %x…", n, value[:most])
	}
}

// TypeName is the full name of a payload's type, safe to print.
func TypeName(payload *anypb.Any) string {
	if name := bareName(payload.GetTypeUrl()); name != "" {
		return printable(name)
	}
	return "(no type)"
}

func (t *Types) decode(ctx context.Context, payload *anypb.Any) (text []byte, remark string, err error) {
	mt, err := t.Find(ctx, payload.GetTypeUrl())
	if err != nil {
		return nil, "", err
	}
	m := mt.New().Interface()
	r := &resolver{ctx: ctx, types: t, lenient: true}
	if err := (proto.UnmarshalOptions{AllowPartial: true, Resolver: r}).Unmarshal(payload.GetValue(), m); err != nil {
		return nil, "", fmt.Errorf("%s: %w", TypeName(payload), plain(err))
	}
	loose, err := protojson.MarshalOptions{AllowPartial: true, EmitDefaultValues: true, Resolver: r}.Marshal(m)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", TypeName(payload), plain(err))
	}
	// The library varies its spaces from build to build; people's eyes and
	// transcripts want them the same.
	var compact bytes.Buffer
	if err := json.Compact(&compact, loose); err != nil {
		return nil, "", fmt.Errorf("%s: %w", TypeName(payload), err)
	}
	return visible(compact.Bytes()), r.remark(m), nil
}

// remark says what the JSON of m leaves out.
func (r *resolver) remark(m proto.Message) string {
	var parts []string
	if n := unknownBytes(m.ProtoReflect()); n > 0 {
		parts = append(parts, fmt.Sprintf("%d bytes in fields that the type does not have", n))
	}
	if len(r.unknown) > 0 {
		parts = append(parts, "unknown types inside: "+printable(listed(r.unknown)))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

// unknownBytes counts the bytes of m that its type has no fields for.
func unknownBytes(m protoreflect.Message) int {
	n := len(m.GetUnknown())
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					n += unknownBytes(v.Message())
					return true
				})
			}
		case fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				n += unknownBytes(v.List().Get(i).Message())
			}
		default:
			n += unknownBytes(v.Message())
		}
		return true
	})
	return n
}

// blank is a message type of that name without any field.
func blank(name protoreflect.FullName) (protoreflect.MessageDescriptor, error) {
	file := &descriptorpb.FileDescriptorProto{
		Name:        proto.String("blank.proto"),
		Syntax:      proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String(string(name.Name()))}},
	}
	if parent := name.Parent(); parent != "" {
		file.Package = proto.String(string(parent))
	}
	fd, err := protodesc.NewFile(file, nil)
	if err != nil {
		return nil, err
	}
	return fd.Messages().Get(0), nil
}
