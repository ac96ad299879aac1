package schema

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/protobuf/types/known/anypb"
)

func TestEncodeAndBack(t *testing.T) {
	types := Merge(shop(t), Linked())
	for _, tc := range []struct{ name, typ, in, out string }{
		{
			"names as in the .proto file",
			"shop.PlaceOrder", `{"customer_id": "c", "lines": [{"sku": "A", "quantity": 2}]}`,
			`"customerId":"c","lines":[{"sku":"A","quantity":2}]`,
		},
		{
			"names as JSON has them, in an Any's URL",
			"type.googleapis.com/shop.PlaceOrder", `{"customerId": "c", "express": true}`,
			`"customerId":"c"`,
		},
		{"imported types", "shop.PlaceOrder", `{"total": {"currency": "EUR", "amount": "-5"}}`, `"total":{"currency":"EUR","amount":"-5"}`},
		{
			"a known payload inside a payload",
			"shop.PlaceOrder", `{"gift": {"@type": "type.googleapis.com/shop.OrderPlaced", "customer_id": "d"}}`,
			`"gift":{"@type":"type.googleapis.com/shop.OrderPlaced","customerId":"d"}`,
		},
		{"times", "shop.PlaceOrder", `{"wantedAt": "2026-01-31T12:00:00Z", "patience": "1.5s"}`, `"wantedAt":"2026-01-31T12:00:00Z","patience":"1.500s"`},
		{"defaults are shown", "shop.OrderPlaced", `{}`, `{"customerId":""}`},
		{"linked types", "google.protobuf.StringValue", `"hello"`, `"hello"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			payload, err := types.Encode(t.Context(), tc.typ, []byte(tc.in))
			if err != nil {
				t.Fatal(err)
			}
			text, err := types.JSON(t.Context(), payload)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), tc.out) {
				t.Errorf("%s came back as %s, without %s", tc.in, text, tc.out)
			}
		})
	}
}

func TestEncodeSaysWhatDoesNotFit(t *testing.T) {
	types := Merge(shop(t), Linked())
	for _, tc := range []struct{ name, in, want string }{
		{"nothing", ` `, "the JSON is empty; a message without fields is {}"},
		{"no JSON", "{\n  \"a\": x}", "not JSON, at line 2, column 8: invalid character 'x' looking for beginning of value"},
		{"half of it", `{"a": 1`, "not JSON, at line 1, column 7: unexpected end of JSON input"},
		{"no object", `[1]`, "got [1], want an object in braces: shop.PlaceOrder"},
		{"a misspelt field", `{"customerId": "c", "expres": true}`, "expres: there is no such field in shop.PlaceOrder; did you mean express?"},
		{"a field cut short", `{"customer": "c"}`, "customer: there is no such field in shop.PlaceOrder; did you mean customer_id?"},
		{"a misspelt field, inside", `{"lines": [{"sku": "A"}, {"skuu": "B"}]}`, "lines[1].skuu: there is no such field in shop.PlaceOrder.Line; did you mean sku?"},
		{"a field from elsewhere", `{"total": {"unrelated": 1}}`, "total.unrelated: there is no such field in money.Money; it has currency, amount"},
		{"text for a number", `{"lines": [{"quantity": "many"}]}`, `lines[0].quantity: got "many", want a whole number from 0 to 4294967295`},
		{"too small a number", `{"lines": [{"quantity": -1}]}`, `lines[0].quantity: got -1, want a whole number from 0 to 4294967295`},
		{"a fraction", `{"loyalty": 1.5}`, `loyalty: got 1.5, want a whole number of 64 bits`},
		{"a number for text", `{"customerId": 7}`, "customerId: got 7, want a string in quotes"},
		{"an enum", `{"channel": "WEB"}`, `channel: got "WEB", want one of CHANNEL_UNSPECIFIED, CHANNEL_WEB, CHANNEL_SHOP`},
		{"bytes", `{"signature": "*"}`, `signature: got "*", want bytes as base64 in quotes`},
		{"a bool", `{"express": "true"}`, `express: got "true", want true or false`},
		{"a double", `{"weight": {}}`, `weight: got {}, want a number`},
		{"one for many", `{"lines": {"sku": "A"}}`, `lines: got {"sku": "A"}, want an array in brackets, each an object in braces: shop.PlaceOrder.Line`},
		{"many for a map", `{"notes": ["a"]}`, `notes: got ["a"], want an object in braces, each value a string in quotes`},
		{"a map's value", `{"extras": {"wrap": {"quantity": true}}}`, `extras["wrap"].quantity: got true, want a whole number from 0 to 4294967295`},
		{"a map's key", `{"notes": {"one": "a"}}`, `notes["one"]: got "one", want as key a whole number from 0 to 4294967295`},
		{"a map's value beside a good key", `{"notes": {"1": 1}}`, `notes["1"]: got 1, want a string in quotes`},
		{"a time", `{"wantedAt": "tomorrow"}`, `wantedAt: got "tomorrow", want a time, as in "2026-01-31T12:00:00Z"`},
		{"a duration", `{"patience": 3}`, `patience: got 3, want a duration in seconds, as in "1.5s"`},
		{"an Any without type", `{"gift": {"customerId": "c"}}`, `gift: got {"customerId": "c"}, want an object with its type`},
		{"both of a oneof", `{"card": "1", "voucher": "2"}`, "oneof shop.PlaceOrder.payment is already set"},
		{"a long value", `{"express": "` + strings.Repeat("x", 100) + `"}`, `express: got "` + strings.Repeat("x", 39) + `…, want`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := types.Encode(t.Context(), "shop.PlaceOrder", []byte(tc.in))
			mentions(t, err, "shop.PlaceOrder: ", tc.want)
		})
	}
}

func TestEncodeUnknownType(t *testing.T) {
	types := Merge(shop(t), Linked())
	for _, tc := range []struct{ typ, want string }{
		{"shop.PlaceOder", "unknown type shop.PlaceOder; did you mean shop.PlaceOrder?"},
		{"PlaceOrder", "unknown type PlaceOrder; did you mean shop.PlaceOrder?"},
		{"store.OrderPlaced", "did you mean shop.OrderPlaced?"},
		{"Nonsense", "its package before it"},
		{"shop.Channel", "it is no message"},
		{"not a name", "this cannot be a type's name"},
		{"", "this cannot be a type's name"},
	} {
		t.Run(tc.typ, func(t *testing.T) {
			_, err := types.Encode(t.Context(), tc.typ, []byte(`{}`))
			mentions(t, err, tc.want)
			var unknown *UnknownTypeError
			if !errors.As(err, &unknown) {
				t.Errorf("%T is no *UnknownTypeError", err)
			}
		})
	}
}

func TestRender(t *testing.T) {
	types := shop(t)
	encode := func(typ, text string) *anypb.Any {
		payload, err := types.Encode(t.Context(), typ, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return payload
	}
	order := encode("shop.OrderPlaced", `{"customer_id": "c"}`)
	steering := encode("shop.OrderPlaced", `{"customer_id": "\u001b\u202e\ud83d\ude00\udb40\udc01\u00e9"}`)
	newer := encode("shop.OrderPlaced", `{"customer_id": "c"}`)
	newer.Value = append(newer.Value, 0x78, 0x01) // field 15
	strange := encode("shop.PlaceOrder", `{"gift": {"@type": "type.googleapis.com/shop.OrderPlaced"}}`)
	strange.Value = []byte(strings.ReplaceAll(string(strange.Value), "shop.OrderPlaced", "shop.OrderForged"))

	for _, tc := range []struct {
		name    string
		payload *anypb.Any
		indent  string
		want    string
	}{
		{"a line", order, "", `{"customerId":"c"}`},
		{"lines", order, "  ", "{\n  \"customerId\": \"c\"\n}"},
		{"what would steer a terminal", steering, "", `{"customerId":"\u001b\u202e😀\udb40\udc01é"}`},
		{"fields of a newer type", newer, "", `{"customerId":"c"} (2 bytes in fields that the type does not have)`},
		{"an unknown type", &anypb.Any{TypeUrl: "x/shop.Gone", Value: []byte{1, 2, 0xff}}, "", "(3 bytes) 0102ff"},
		{"bytes that are no such message", &anypb.Any{TypeUrl: "x/shop.OrderPlaced", Value: []byte{0xff}}, "", "(1 byte) ff"},
		{"a long one", &anypb.Any{Value: make([]byte, 40)}, "", "(40 bytes) " + strings.Repeat("00", 32) + "…"},
		{"nothing", nil, "", "(no bytes)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := types.Render(t.Context(), tc.payload, tc.indent); got != tc.want {
				t.Errorf("got %s\nwant %s", got, tc.want)
			}
		})
	}
	t.Run("an unknown type inside", func(t *testing.T) {
		got := types.Render(t.Context(), strange, "")
		for _, want := range []string{`"gift":{"@type":"type.googleapis.com/shop.OrderForged"}`, "(unknown types inside: shop.OrderForged)"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s is not in %s", want, got)
			}
		}
	})
}

func TestTypeName(t *testing.T) {
	for url, want := range map[string]string{
		"type.googleapis.com/shop.OrderPlaced": "shop.OrderPlaced",
		"shop.OrderPlaced":                     "shop.OrderPlaced",
		"":                                     "(no type)",
		"x/\x1b[2Jshop":                        "\ufffd[2Jshop",
	} {
		if got := TypeName(&anypb.Any{TypeUrl: url}); got != want {
			t.Errorf("%q: got %q, want %q", url, got, want)
		}
	}
}

// FuzzEncode offers any text for any type: nothing panics, what is refused is
// refused with a reason, and what is taken comes back.
func FuzzEncode(f *testing.F) {
	types := Merge(shop(f), Linked())
	f.Add("shop.PlaceOrder", `{"customer_id": "c", "lines": [{"sku": "A", "quantity": 2}], "notes": {"1": "a"}}`)
	f.Add("shop.PlaceOrder", `{"gift": {"@type": "x/shop.PlaceOrder", "gift": {"@type": "x/shop.Gone"}}}`)
	f.Add("shop.PlaceOrder", `{"extras": {"\u0000": {"quantity": "1e3"}}, "wantedAt": null, "weight": "NaN"}`)
	f.Add("google.protobuf.Any", `{"@type": "x/google.protobuf.Struct", "value": {"a": [1, null]}}`)
	f.Add("google.protobuf.FieldMask", `"a,b.c"`)
	f.Fuzz(func(t *testing.T, typ, text string) {
		payload, err := types.Encode(t.Context(), typ, []byte(text))
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		if _, err := types.JSON(t.Context(), payload); err != nil {
			t.Errorf("%s %s was taken, and does not come back: %v", typ, text, err)
		}
	})
}

// FuzzRender shows any bytes as any type: always something, on one line.
func FuzzRender(f *testing.F) {
	types := Merge(shop(f), Linked())
	f.Add("x/shop.PlaceOrder", []byte("\x0a\x01c\x12\x05\x0a\x01A\x10\x02"))
	f.Add("x/shop.PlaceOrder", []byte("\x42\x08\x0a\x06x/a\x1bbc"))
	f.Add("google.protobuf.Timestamp", []byte("\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Add("\x1b[2J", []byte{0xff})
	f.Fuzz(func(t *testing.T, url string, value []byte) {
		payload := &anypb.Any{TypeUrl: url, Value: value}
		for _, text := range []string{types.Render(t.Context(), payload, ""), TypeName(payload)} {
			if text == "" || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q %x is shown as %q", url, value, text)
			}
		}
	})
}
