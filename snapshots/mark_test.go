package snapshots

import (
	"strings"
	"testing"
	"time"
)

func TestWhichMarksAreBelieved(t *testing.T) {
	origin := originOf("cluster", [16]byte{7})
	good := mark{origin: origin, shelf: shelfID{1, 2}, offset: 42, at: noon.UTC()}
	if m, why := parseMark(good.encode(), origin, noon.Add(time.Hour), day); why != nil || m != good {
		t.Errorf("%s was read as %+v (%v)", good.encode(), m, why)
	}
	for name, tc := range map[string]struct{ raw, want string }{
		"none":              {"", "none yet"},
		"another format":    {strings.Replace(good.encode(), "angzarr 1", "angzarr 2", 1), "not of format 1"},
		"something else":    {"hello", "not of format 1"},
		"another cluster":   {strings.Replace(good.encode(), "cluster/", "other/", 1), "another log"},
		"a topic made anew": {strings.Replace(good.encode(), "/07", "/08", 1), "another log"},
		"no id":             {strings.Replace(good.encode(), "0102", "01", 1), "no id"},
		"no offset":         {strings.Replace(good.encode(), " 42 ", " x ", 1), "no offset"},
		"an offset below 0": {strings.Replace(good.encode(), " 42 ", " -1 ", 1), "no offset"},
		"no time":           {strings.Replace(good.encode(), "T", "_", 1), "no time"},
		"an old one":        {mark{origin, shelfID{}, 1, noon.Add(-25 * time.Hour)}.encode(), "tombstones"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, why := parseMark(tc.raw, origin, noon, day); why == nil || !strings.Contains(why.Error(), tc.want) {
				t.Errorf("%q: %v, want %q", tc.raw, why, tc.want)
			}
		})
	}
	if good.ahead(42) != nil || good.ahead(41) == nil {
		t.Error("a mark past the log's end is of another log")
	}
}
