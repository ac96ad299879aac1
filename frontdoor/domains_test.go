package frontdoor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
)

// cluster is what a listing finds.
type cluster struct {
	there   map[string]int32
	err     error
	takes   time.Duration
	listed  int
	hanging bool // until its context ends
}

func (c *cluster) list(ctx context.Context) (map[string]int32, error) {
	c.listed++
	if c.hanging {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(c.takes) // in a bubble
	return c.there, c.err
}

func TestDomainsAreListedWhenNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{there: map[string]int32{"b": 2, "a": 1}}
		d := NewDomains(c.list)
		want := func(domain string, partitions int32, listed int) {
			t.Helper()
			n, known, err := d.Partitions(t.Context(), domain)
			synctest.Wait()
			if err != nil || n != partitions || c.listed != listed {
				t.Errorf("%s has %d partitions after %d listings (%v), want %d after %d", domain, n, c.listed, err, partitions, listed)
			}
			if n == 0 && !slices.IsSorted(known) {
				t.Errorf("names come as %v", known)
			}
		}
		want("a", 1, 1)
		want("b", 2, 1)
		want("new", 0, 1) // a listing was just made
		c.there = map[string]int32{"a": 1, "new": 3}
		want("b", 2, 1)
		time.Sleep(relist + 1)
		want("new", 3, 2)
		want("b", 0, 2)

		// What was deleted is believed for a while, and answered meanwhile.
		c.there = map[string]int32{}
		time.Sleep(believed + 1)
		want("a", 1, 3)
		want("a", 0, 3)

		// Or until somebody finds its topics gone.
		c.there = map[string]int32{"a": 1}
		time.Sleep(relist + 1)
		want("a", 1, 4)
		c.there = map[string]int32{}
		d.Forget("a")
		d.Forget("never known")
		want("a", 0, 5)
	})
}

func TestSlowListingHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{there: map[string]int32{"a": 1}}
		d := NewDomains(c.list)
		if _, _, err := d.Partitions(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(relist + 1)
		c.takes = time.Second
		impatient, giveUp := context.WithTimeout(t.Context(), time.Millisecond)
		defer giveUp()
		gaveUp, patient := make(chan error, 1), make(chan error, 1)
		go func() { _, _, err := d.Partitions(impatient, "x"); gaveUp <- err }()
		go func() { _, _, err := d.Partitions(t.Context(), "x"); patient <- err }()
		synctest.Wait()
		begun := time.Now()
		if n, _, err := d.Partitions(t.Context(), "a"); n != 1 || err != nil || time.Since(begun) > 0 {
			t.Errorf("a known domain took %v: %d, %v", time.Since(begun), n, err)
		}
		if err := <-gaveUp; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who gave up got %v", err)
		}
		if err := <-patient; err != nil {
			t.Errorf("who waited lost the answer with who gave up: %v", err)
		}
		if c.listed != 2 {
			t.Errorf("listed %d times", c.listed)
		}
	})
}

func TestListingThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{err: errors.New("no broker")}
		d := NewDomains(c.list)
		_, st := d.Find(t.Context(), "domain", "a")
		if st.Code() != codes.Unavailable || !strings.Contains(st.Message(), "no broker") {
			t.Errorf("answered %v", st)
		}
		c.hanging = true
		begun := time.Now()
		if _, st = d.Find(t.Context(), "domain", "a"); st.Code() != codes.Unavailable || time.Since(begun) > listTimeout {
			t.Errorf("answered %v after %v", st, time.Since(begun))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, st = d.Find(ctx, "domain", "a"); st.Code() != codes.DeadlineExceeded {
			t.Errorf("answered %v", st)
		}
		synctest.Wait()
		c.hanging, c.err, c.there = false, nil, map[string]int32{"a": 4}
		time.Sleep(listTimeout)
		if n, st := d.Find(t.Context(), "domain", "a"); n != 4 {
			t.Errorf("answered %v, %v", n, st)
		}
	})
}

// A status travels in a header: it says what helps, and stays small.
func TestNoDomain(t *testing.T) {
	many := slices.Repeat([]string{"domain"}, 1000)
	for name, tc := range map[string]struct {
		domain string
		known  []string
		want   string
	}{
		"none":      {"x", nil, `cover.domain: there is no domain "x"; there are: none on this cluster yet`},
		"some":      {"x", []string{"a", "b"}, `cover.domain: there is no domain "x"; there are: a, b`},
		"many":      {"x", many, "domain, …"},
		"long name": {strings.Repeat("ü", 5000), []string{"a"}, `ü…"; there are: a`},
	} {
		t.Run(name, func(t *testing.T) {
			st := noDomain("cover.domain", tc.domain, tc.known)
			if !strings.HasSuffix(st.Message(), tc.want) || len(st.Message()) > 1000 || st.Code() != codes.NotFound {
				t.Errorf("%v: %s", st.Code(), st.Message())
			}
		})
	}
}
