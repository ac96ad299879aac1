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
	pages    []*angzarr.EventPage
	size     int
}

func (c *chunks) take(it item) error {
	if c.size > 0 && c.size+it.size > chunk {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.pages = append(c.pages, it.page)
	c.size += it.size
	return nil
}

// flush sends what there is.
func (c *chunks) flush() error {
	if len(c.pages) == 0 && c.snapshot == nil {
		return nil
	}
	book := &angzarr.EventBook{Cover: c.cover, Snapshot: c.snapshot, Pages: c.pages}
	c.snapshot, c.pages, c.size = nil, nil, 0
	return c.send(book)
}
