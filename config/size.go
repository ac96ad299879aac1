package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written `3MiB`, `512KiB`, `1GiB` or plain.
type Size int64

const (
	kib Size = 1 << 10
	mib Size = 1 << 20
	gib Size = 1 << 30
)

// errSize says what is right. Decimal units are left out: MB is taken for MiB by
// half of its readers, and limits that differ by 5 % are found late.
var errSize = errors.New("want a size in whole bytes, KiB, MiB or GiB, such as 64MiB")

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	digits, unit := strings.TrimSpace(string(text)), Size(1)
	for suffix, size := range map[string]Size{"KiB": kib, "MiB": mib, "GiB": gib} {
		if rest, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = strings.TrimSpace(rest), size
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return errSize
	}
	if n > uint64(math.MaxInt64/unit) {
		return fmt.Errorf("want less than %dGiB", math.MaxInt64/gib)
	}
	*s = Size(n) * unit
	return nil
}

// MarshalText writes the size as String does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String writes the size in the largest unit that leaves no fraction.
func (s Size) String() string {
	switch {
	case s != 0 && s%gib == 0:
		return fmt.Sprintf("%dGiB", s/gib)
	case s != 0 && s%mib == 0:
		return fmt.Sprintf("%dMiB", s/mib)
	case s != 0 && s%kib == 0:
		return fmt.Sprintf("%dKiB", s/kib)
	}
	return strconv.FormatInt(int64(s), 10)
}
