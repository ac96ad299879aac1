package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/snapshots"
)

func examineRedis(ctx context.Context, o snapshots.Options) []Finding {
	found, err := snapshots.Inspect(ctx, o)
	return judgeRedis(o.Address, found, err)
}

func judgeRedis(address string, found snapshots.Inspection, err error) (all []Finding) {
	about := "Redis at " + address
	switch {
	case errors.Is(err, snapshots.ErrRefused):
		// "snapshots: Redis at … can't hold the shelf: why: what to do"
		_, text, _ := strings.Cut(err.Error(), "can't hold the shelf: ")
		says, do, parts := strings.Cut(text, ": ")
		if !parts {
			do = "see snapshots in docs/configuration.md"
		}
		return []Finding{{Wrong, about, "can't hold the shelf: " + says, do}}
	case err != nil:
		return []Finding{{Wrong, about, fmt.Sprintf("does not answer: %v; books are read from the log meanwhile, which is slow", err), "start it, or set snapshots.address"}}
	}
	all = append(all, Finding{Fine, about, fmt.Sprintf("Redis %s, noeviction, nothing was evicted", found.Version), ""})
	if found.Memory > 0 && found.Used*10 > found.Memory*9 {
		all = append(all, Finding{Advice, about, fmt.Sprintf("%d of %d bytes are used: with noeviction it soon takes no writes", found.Used, found.Memory),
			"raise maxmemory there; what does not fit is read from the log, which is slow"})
	}
	if skew := found.Ahead.Abs(); skew > mostSkew {
		all = append(all, Finding{skewed(skew), "clocks", fmt.Sprintf("the one of %s and this machine's are %v apart", about, skew.Round(time.Millisecond)),
			"have all machines keep time (NTP): how old a shelf is is reckoned by it"})
	}
	return all
}
