package log

import (
	"bytes"
	"testing"
	"time"
)

// FuzzParseKey: whatever the key of a record in an events topic is, it is what
// it says, or unknown.
func FuzzParseKey(f *testing.F) {
	for _, n := range []int{0, 1, 15, 16, 17, 19, 20, 21, 36} {
		f.Add(bytes.Repeat([]byte{0}, n))
		f.Add(bytes.Repeat([]byte{0xff}, n))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		root, sequence, kind := ParseKey(key)
		var again []byte
		switch kind {
		case KeyPage:
			if sequence == 0 {
				t.Error("a page of number 0")
			}
			again = PageKey(root, sequence)
		case KeyErased:
			again = PageKey(root, 0)
		case KeySnapshot:
			again = SnapshotKey(root)
		case KeyUnknown:
			if len(key) == 16 || len(key) == 20 {
				t.Errorf("a key of %d bytes is unknown", len(key))
			}
			return
		}
		if !bytes.Equal(again, key) {
			t.Errorf("key %x is taken for %x", key, again)
		}
	})
}

// FuzzDecodePage reads records that anyone may have written: it must not panic,
// and must not make a page of what is none.
func FuzzDecodePage(f *testing.F) {
	p := Page{Sequence: 1, TypeURL: "type.googleapis.com/a.B", CreatedAt: time.Unix(1, 2)}
	good := p.Encode("d", 0)
	f.Add(good.Key, []byte("value"), headerType, []byte("a.B"), headerTime, []byte("2020-01-02T03:04:05.6Z"), HeaderHops, []byte("3"))
	f.Add(good.Key, []byte{}, headerType, []byte("a.B"), HeaderTypeURL, []byte(""), HeaderSynchronous, []byte("true"))
	f.Add(good.Key, []byte(nil), headerType, []byte(nil), headerTime, []byte("yesterday"), HeaderHops, []byte("-1"))
	f.Add([]byte("key"), []byte("value"), headerType, []byte("a.B"), HeaderCommandID, []byte("\xff"), HeaderCorrelationID, []byte("\xff"))
	f.Fuzz(func(t *testing.T, key, value []byte, k1 string, v1 []byte, k2 string, v2 []byte, k3 string, v3 []byte) {
		r := &Record{Key: key, Value: value, Offset: 7, Time: time.Unix(9, 0), Headers: []Header{{Key: k1, Value: v1}, {Key: k2, Value: v2}, {Key: k3, Value: v3}}}
		got, err := DecodePage(r)
		_, _, kind := ParseKey(key)
		if err == nil && (kind != KeyPage || got.TypeURL == "" || got.Offset != 7) {
			t.Errorf("key %x led to %+v", key, got)
		}
		if err == nil {
			got.Proto()
		}
	})
}

// FuzzPage: what is written is read back as it was.
func FuzzPage(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), uint32(1), "type.googleapis.com/a.B", []byte("value"), int64(1_700_000_000), int64(5), true, "id", "id", "", uint32(0))
	f.Add([]byte("0123456789abcdef"), uint32(1<<32-1), "B", []byte{}, int64(-62135596800), int64(0), false, "id", "correlation", "t/1/2", uint32(3))
	f.Add([]byte(""), uint32(7), "x/y/z.B", []byte(nil), int64(253402300799), int64(999999999), false, "", "", "", uint32(1<<32-1))
	f.Fuzz(func(t *testing.T, root []byte, sequence uint32, typeURL string, value []byte, seconds, nanos int64, synchronous bool, id, correlation, source string, hops uint32) {
		const first, years = -62135596800, 253402300799 + 62135596800 + 1 // what a Timestamp may be
		at := time.Unix(first+(seconds%years+years)%years, (nanos%1e9+1e9)%1e9).UTC()
		p := Page{
			Sequence: sequence, CreatedAt: at, TypeURL: typeURL, Value: value, Synchronous: synchronous,
			Cause: Cause{CommandID: id, CorrelationID: correlation, Source: source, Hops: hops},
		}
		copy(p.Root[:], root)
		_, name := splitTypeURL(typeURL)
		if sequence == 0 || name == "" || correlation == "" && id != "" {
			return // never written so
		}
		r := p.Encode("d", 3)
		got, err := DecodePage(&r)
		if err != nil {
			t.Fatal(err)
		}
		if got.Root != p.Root || got.Sequence != sequence || !got.CreatedAt.Equal(at) || got.TypeURL != typeURL ||
			!bytes.Equal(got.Value, value) || got.Value == nil || got.Synchronous != synchronous || got.Cause != p.Cause {
			t.Errorf("%+v was read back as %+v", p, got)
		}
	})
}
