package query

import "github.com/angzarr/angzarr-kafka/proto/angzarr"

// chunk is how many bytes of pages go into one answer: far below the 4 MiB that
// callers take by default. A page that is larger goes alone.
const chunk = 256 << 10

// chunks sends the pages of one aggregate, many at a time.
type chunks struct {
	send  func(*angzarr.EventBook) error
	cover *angzarr.Cover

	snapshot *angzarr.Snapshot // goes before the pages, once
	pages    []byte
}

func (c *chunks) take(it item) error {
	if len(c.pages) > 0 && len(c.pages)+it.size > chunk {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.pages = append(c.pages, it.page...)
	return nil
}

// flush sends what there is. The bytes are used again: what is sent was encoded.
func (c *chunks) flush() error {
	if len(c.pages) == 0 && c.snapshot == nil {
		return nil
	}
	book := bookOf(c.cover, c.pages)
	book.Snapshot, c.snapshot, c.pages = c.snapshot, nil, c.pages[:0]
	return c.send(book)
}
