package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// explain says where text does not fit md, and what would; err where it cannot
// tell. The protobuf library names lines and columns only, so the place is found
// by offering it ever smaller parts of the text: what it refuses is the place.
func (r *resolver) explain(md protoreflect.MessageDescriptor, text []byte, err error) error {
	if why := r.misfit(md, text, ""); why != nil {
		return why
	}
	return plain(err)
}

// misfit returns the first part of text, in the order of field names, that does
// not fit md; nil if each part fits for itself.
func (r *resolver) misfit(md protoreflect.MessageDescriptor, text []byte, path string) error {
	if want, ok := wellKnown[md.FullName()]; ok {
		return wrong(path, text, want)
	}
	if md.IsPlaceholder() {
		return fmt.Errorf("%s: its type %s is not in what described the message; a descriptor set needs --include_imports", path, md.FullName())
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return wrong(path, text, "an object in braces: "+string(md.FullName()))
	}
	for _, key := range slices.Sorted(maps.Keys(members)) {
		at, part := join(path, key), members[key]
		fd := field(md, key)
		if fd == nil {
			return noField(md, at, key)
		}
		if why := r.misfitField(md, fd, key, part, at); why != nil {
			return why
		}
	}
	return nil
}

func (r *resolver) misfitField(md protoreflect.MessageDescriptor, fd protoreflect.FieldDescriptor, key string, part []byte, at string) error {
	fits := func(value string) bool {
		object := "{" + quoted(key) + ":" + value + "}"
		return r.unmarshal([]byte(object), dynamicpb.NewMessage(md)) == nil
	}
	// single explains one value that was refused.
	single := func(fd protoreflect.FieldDescriptor, value []byte, at string) error {
		if fd.Message() == nil {
			return wrong(at, value, scalar(fd))
		}
		return r.misfit(fd.Message(), value, at)
	}
	switch {
	case fits(string(part)):
		return nil
	case fd.IsList():
		var elements []json.RawMessage
		if json.Unmarshal(part, &elements) != nil {
			return wrong(at, part, "an array in brackets, each "+valueOf(fd))
		}
		for i, e := range elements {
			if !fits("[" + string(e) + "]") {
				return single(fd, e, fmt.Sprintf("%s[%d]", at, i))
			}
		}
	case fd.IsMap():
		var entries map[string]json.RawMessage
		if json.Unmarshal(part, &entries) != nil {
			return wrong(at, part, "an object in braces, each value "+valueOf(fd.MapValue()))
		}
		for _, k := range slices.Sorted(maps.Keys(entries)) {
			entryAt := fmt.Sprintf("%s[%s]", at, quoted(k))
			if fits("{" + quoted(k) + ":" + string(entries[k]) + "}") {
				continue
			}
			if fd.MapKey().Kind() != protoreflect.StringKind {
				if why := r.misfitKey(fd, k, entryAt); why != nil {
					return why
				}
			}
			return single(fd.MapValue(), entries[k], entryAt)
		}
	default:
		return single(fd, part, at)
	}
	return nil
}

// misfitKey tells a map's bad key, which JSON always has in quotes, from a bad
// value.
func (r *resolver) misfitKey(fd protoreflect.FieldDescriptor, key, at string) error {
	object := "{" + quoted(string(fd.MapKey().Name())) + ":" + quoted(key) + "}"
	if fd.MapKey().Kind() == protoreflect.BoolKind && (key == "true" || key == "false") {
		return nil
	}
	if r.unmarshal([]byte(object), dynamicpb.NewMessage(fd.Message())) == nil {
		return nil
	}
	return wrong(at, []byte(quoted(key)), "as key "+scalar(fd.MapKey()))
}

func field(md protoreflect.MessageDescriptor, key string) protoreflect.FieldDescriptor {
	if fd := md.Fields().ByJSONName(key); fd != nil {
		return fd
	}
	return md.Fields().ByTextName(key)
}

func noField(md protoreflect.MessageDescriptor, at, key string) error {
	var names []string
	for i := range md.Fields().Len() {
		names = append(names, md.Fields().Get(i).TextName())
	}
	switch near := nearest(key, names); {
	case len(names) == 0:
		return fmt.Errorf("%s: there is no such field; %s has none", at, md.FullName())
	case len(near) > 0:
		return fmt.Errorf("%s: there is no such field in %s; did you mean %s?", at, md.FullName(), near[0])
	default:
		return fmt.Errorf("%s: there is no such field in %s; it has %s", at, md.FullName(), listed(names))
	}
}

func wrong(path string, got []byte, want string) error {
	if path == "" {
		return fmt.Errorf("got %s, want %s", short(got), want)
	}
	return fmt.Errorf("%s: got %s, want %s", path, short(got), want)
}

// wellKnown are the types that JSON writes in a way of their own, and what that
// looks like.
var wellKnown = map[protoreflect.FullName]string{
	"google.protobuf.Any":         `an object with its type, as in {"@type": "type.googleapis.com/inventory.CreateProduct", …}`,
	"google.protobuf.Timestamp":   `a time, as in "2026-01-31T12:00:00Z"`,
	"google.protobuf.Duration":    `a duration in seconds, as in "1.5s"`,
	"google.protobuf.FieldMask":   `field names, as in "name,price.amount"`,
	"google.protobuf.Struct":      "any object",
	"google.protobuf.ListValue":   "any array",
	"google.protobuf.Value":       "any JSON",
	"google.protobuf.Empty":       "{}",
	"google.protobuf.BoolValue":   "true or false",
	"google.protobuf.StringValue": "a string in quotes",
	"google.protobuf.BytesValue":  "bytes as base64 in quotes",
	"google.protobuf.DoubleValue": "a number",
	"google.protobuf.FloatValue":  "a number",
	"google.protobuf.Int32Value":  wholeNumber[protoreflect.Int32Kind],
	"google.protobuf.Int64Value":  wholeNumber[protoreflect.Int64Kind],
	"google.protobuf.UInt32Value": wholeNumber[protoreflect.Uint32Kind],
	"google.protobuf.UInt64Value": wholeNumber[protoreflect.Uint64Kind],
}

var wholeNumber = map[protoreflect.Kind]string{
	protoreflect.Int32Kind:  "a whole number from -2147483648 to 2147483647",
	protoreflect.Int64Kind:  "a whole number of 64 bits",
	protoreflect.Uint32Kind: "a whole number from 0 to 4294967295",
	protoreflect.Uint64Kind: "a whole number of 64 bits, not negative",
}

// valueOf describes a field's single value.
func valueOf(fd protoreflect.FieldDescriptor) string {
	if md := fd.Message(); md != nil {
		if want, ok := wellKnown[md.FullName()]; ok {
			return want
		}
		return "an object in braces: " + string(md.FullName())
	}
	return scalar(fd)
}

func scalar(fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.StringKind:
		return "a string in quotes"
	case protoreflect.BytesKind:
		return "bytes as base64 in quotes"
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return "a number"
	case protoreflect.EnumKind:
		var names []string
		for i := range fd.Enum().Values().Len() {
			names = append(names, string(fd.Enum().Values().Get(i).Name()))
		}
		return "one of " + listed(names)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return wholeNumber[protoreflect.Int32Kind]
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return wholeNumber[protoreflect.Uint32Kind]
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return wholeNumber[protoreflect.Uint64Kind]
	default:
		return wholeNumber[protoreflect.Int64Kind]
	}
}

func join(path, key string) string {
	if path == "" {
		return printable(key)
	}
	return path + "." + printable(key)
}

func quoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return strconv.Quote(s)
	}
	return string(text)
}

func listed(names []string) string {
	const most = 12
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

func short(text []byte) string {
	const most = 40
	s := strings.Join(strings.Fields(string(text)), " ")
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return printable(s)
}
