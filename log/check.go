package log

import (
	"bytes"
	"fmt"
	"strconv"
)

// CheckPage says how a page's record differs from what is written for that page
// of a domain: its attributes as a CloudEvent say what its key says.
func CheckPage(r *Record, p *Page, domain string) error {
	root := p.Root.AppendText(make([]byte, 0, 48))
	id := strconv.AppendUint(append(root[:len(root):len(root)], '/'), uint64(p.Sequence), 10)
	for _, must := range []struct {
		key  string
		want []byte
	}{
		{headerID, id},
		{headerSubject, root},
		{headerCESource, []byte("angzarr/" + domain)},
		{headerSpecVersion, specVersion},
		{headerContentType, protobufContent},
	} {
		if got := r.Header(must.key); !bytes.Equal(got, must.want) {
			return fmt.Errorf("page %s: its header %s is %q, not %q", id, must.key, got, must.want)
		}
	}
	return nil
}
