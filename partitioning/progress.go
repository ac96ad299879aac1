package partitioning

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

const (
	// maxUnfinished bounds the commands of a partition that were read and are
	// not finished. Between n of them lie at most n+1 finished stretches, two
	// varints each, so that the encoding below never grows past maxMetadata.
	maxUnfinished = 128
	// maxSpread bounds how far reading runs ahead of the oldest unfinished
	// command, for the same reason: a varint of 4 bytes holds it.
	maxSpread = 1 << 27
	// maxMetadata is the longest text that is sent with an offset. Brokers
	// refuse more than 4,096 bytes (offset.metadata.max.bytes), for that
	// partition alone, and commit the rest of the transaction.
	maxMetadata = 3000

	// mostStretches, of 8 bytes at the most, fit into that even if as many are
	// added as Full allows.
	mostStretches = 150

	metadataVersion = "a1:" // before the base64 text
)

// Progress follows the records of a partition from reading to commit: which
// were finished, and from where a successor has to read.
//
// It is not safe for concurrent use; its claim's worker owns it.
type Progress struct {
	// next is the offset after the last one admitted. Nothing below it is
	// admitted again.
	next int64
	// open are admitted records, in order; those before the first unfinished
	// one are dropped.
	open []entry
	// done are the stretches that an earlier owner finished beyond its low
	// mark, in order, disjoint, none before next.
	done []stretch

	unfinished int
}

// entry is an admitted record, or neighbours of which all are finished.
type entry struct {
	stretch
	finished bool
}

type stretch struct{ from, to int64 } // to is exclusive

// restore takes over from a committed offset and its metadata.
func restore(low int64, metadata string) (*Progress, error) {
	p := &Progress{next: low}
	if metadata == "" {
		return p, nil
	}
	if len(metadata) < len(metadataVersion) || metadata[:len(metadataVersion)] != metadataVersion {
		return nil, fmt.Errorf("offset metadata %q is not of a version that is known", metadata)
	}
	raw, err := base64.RawStdEncoding.DecodeString(metadata[len(metadataVersion):])
	if err != nil {
		return nil, fmt.Errorf("offset metadata: %w", err)
	}
	at := low
	for len(raw) > 0 {
		var lengths [2]int64 // unfinished, then finished
		for i := range lengths {
			v, n := binary.Uvarint(raw)
			if n <= 0 || v > math.MaxInt64 {
				return nil, fmt.Errorf("offset metadata %q is cut or corrupt", metadata)
			}
			lengths[i], raw = int64(v), raw[n:]
		}
		from := at + lengths[0]
		at = from + lengths[1]
		if lengths[1] == 0 || from < low || at < from {
			return nil, fmt.Errorf("offset metadata %q is corrupt: no such stretch after %d", metadata, low)
		}
		p.done = append(p.done, stretch{from, at})
	}
	return p, nil
}

// Admit says whether the record at that offset is to be handled: it is beyond
// all that were admitted before, and was not finished by an earlier owner.
func (p *Progress) Admit(offset int64) bool {
	if offset < p.next {
		return false
	}
	for len(p.done) > 0 && p.done[0].from <= offset {
		s := p.done[0]
		p.open, p.done = append(p.open, entry{s, true}), p.done[1:]
		if p.next = s.to; offset < s.to {
			return false
		}
	}
	p.next = offset + 1
	p.open = append(p.open, entry{stretch{offset, offset + 1}, false})
	p.unfinished++
	return true
}

// Full says that no more may be read until a record has been finished: then what is
// finished fits into the offset's metadata, whatever it is.
func (p *Progress) Full() bool { return p.FullAt(maxUnfinished) }

// FullAt is Full for who lets more records be unfinished, and asks [Progress.Fits]
// before each commit.
func (p *Progress) FullAt(unfinished int) bool {
	return p.unfinished >= unfinished || p.next-p.low() > maxSpread
}

// Unfinished is how many records were admitted and are not finished.
func (p *Progress) Unfinished() int { return p.unfinished }

// Fits says whether what is finished fits into the offset's metadata. It does if only
// records before the first unfinished one are.
func (p *Progress) Fits() bool {
	stretches, open, finished := len(p.done), false, false
	for _, e := range p.open {
		open = open || !e.finished
		if open && e.finished && !finished {
			stretches++
		}
		finished = open && e.finished
	}
	return stretches <= mostStretches
}

// Finish marks an admitted record as finished. Undo takes it back, when the
// transaction that was to finish it was not committed.
func (p *Progress) Finish(offset int64) { p.set(offset, true) }

// Undo takes back what Finish said.
func (p *Progress) Undo(offset int64) { p.set(offset, false) }

func (p *Progress) set(offset int64, finished bool) {
	i, ok := slices.BinarySearchFunc(p.open, offset, func(e entry, offset int64) int {
		return cmp.Compare(e.from, offset)
	})
	if !ok || p.open[i].finished == finished {
		panic(fmt.Sprintf("partitioning: offset %d is finished twice, or was never admitted", offset))
	}
	p.open[i].finished = finished
	if finished {
		p.unfinished--
	} else {
		p.unfinished++
	}
}

// Settle makes final what was finished: it forgets what lies before the first
// unfinished record, and takes finished neighbours together. It is called once
// a transaction has committed and none is under way.
func (p *Progress) Settle() {
	kept := p.open[:0]
	for _, e := range p.open {
		switch last := len(kept) - 1; {
		case !e.finished:
			kept = append(kept, e)
		case last < 0: // before the first unfinished one
		case kept[last].finished:
			kept[last].to = e.to
		default:
			kept = append(kept, e)
		}
	}
	p.open = kept
}

// low is the first offset that is not finished.
func (p *Progress) low() int64 {
	for _, e := range p.open {
		if !e.finished {
			return e.from
		}
	}
	return p.next
}

// offset is what is to be committed: the first offset that a successor must
// read, and which of those behind it are finished, run-length coded. Offsets
// that hold no record of their own (markers, gaps) count as their neighbours.
func (p *Progress) offset() (low int64, metadata string) {
	low = p.low()
	var raw []byte
	at := low
	put := func(s stretch) {
		raw = binary.AppendUvarint(raw, uint64(s.from-at))
		raw = binary.AppendUvarint(raw, uint64(s.to-s.from))
		at = s.to
	}
	var run stretch // the finished stretch that is growing, empty if there is none
	for _, e := range p.open {
		switch {
		case e.from < low:
		case e.finished && run.to == 0:
			run = e.stretch
		case e.finished:
			run.to = e.to
		case run.to > 0:
			put(run)
			run = stretch{}
		}
	}
	if run.to > 0 {
		put(run)
	}
	for _, s := range p.done {
		put(s)
	}
	if len(raw) == 0 {
		return low, ""
	}
	metadata = metadataVersion + base64.RawStdEncoding.EncodeToString(raw)
	if len(metadata) > maxMetadata {
		panic(fmt.Sprintf("partitioning: offset metadata of %d bytes", len(metadata)))
	}
	return low, metadata
}
