package snapshots

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// format is the shelf's: one of another format is not read.
const format = "1"

// mark says how far a partition's shelf is complete. It is written together with
// the books that make it true, by one script; see write.lua.
type mark struct {
	origin string    // the log that the shelf is folded from
	shelf  shelfID   // begins every value that belongs to it
	offset int64     // every page before it is on the shelf, none behind it
	at     time.Time // when that was so, in seconds
}

// shelfID tells a shelf that was begun anew from what an older one left behind.
type shelfID [8]byte

func newShelfID() (id shelfID) {
	rand.Read(id[:])
	return id
}

// encode makes a line that people can read:
//
//	angzarr 1 <cluster id>/<topic id> <shelf> <offset> <time>
func (m mark) encode() string {
	return strings.Join([]string{"angzarr", format, m.origin, hex.EncodeToString(m.shelf[:]),
		strconv.FormatInt(m.offset, 10), m.at.UTC().Format(time.RFC3339)}, " ")
}

func originOf(clusterID string, topicID [16]byte) string {
	return strings.ReplaceAll(clusterID, " ", "_") + "/" + hex.EncodeToString(topicID[:])
}

// parseMark reads a mark, and says why it can't be believed, if it can't: it is
// older than maxAge, or not of that origin, say.
func parseMark(raw, origin string, now time.Time, maxAge time.Duration) (m mark, why error) {
	if raw == "" {
		return m, errNoMark
	}
	fields := strings.Split(raw, " ")
	if len(fields) != 6 || fields[0] != "angzarr" || fields[1] != format {
		return m, fmt.Errorf("its mark is not of format %s", format)
	}
	if fields[2] != origin {
		return m, fmt.Errorf("it is the shelf of another log, %s; this one is %s", fields[2], origin)
	}
	id, err := hex.DecodeString(fields[3])
	if err != nil || len(id) != len(m.shelf) {
		return m, fmt.Errorf("its mark has no id: %s", raw)
	}
	offset, err := strconv.ParseInt(fields[4], 10, 64)
	if err != nil || offset < 0 {
		return m, fmt.Errorf("its mark has no offset: %s", raw)
	}
	at, err := time.Parse(time.RFC3339, fields[5])
	if err != nil {
		return m, fmt.Errorf("its mark has no time: %s", raw)
	}
	if age := now.Sub(at); age > maxAge {
		return m, fmt.Errorf("its mark is %v old, and after %v it may have missed tombstones (half the topic's delete.retention.ms)",
			age.Round(time.Second), maxAge)
	}
	return mark{origin, shelfID(id), offset, at}, nil
}

// ahead is for a mark that is past the log's end.
func (m mark) ahead(end int64) error {
	if m.offset <= end {
		return nil
	}
	return fmt.Errorf("its mark is at offset %d, and the log ends at %d", m.offset, end)
}
