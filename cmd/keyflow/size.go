package main

import (
	"fmt"
	"strconv"
	"strings"
)

// byteSize is a number of bytes, written as 1048576, 512KiB or 1MiB.
type byteSize int

// The bounds of --max-output.
const (
	kibibyte          byteSize = 1 << 10
	mebibyte          byteSize = 1 << 20
	smallestMaxOutput          = kibibyte
	defaultMaxOutput           = mebibyte
	largestMaxOutput           = 10 * mebibyte // a stored value of any kind is at most 16 MiB
)

// MarshalText implements encoding.TextMarshaler: the flag's default in the help.
func (s byteSize) MarshalText() ([]byte, error) {
	if s%mebibyte == 0 {
		return fmt.Appendf(nil, "%dMiB", s/mebibyte), nil
	}
	return strconv.AppendInt(nil, int64(s), 10), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *byteSize) UnmarshalText(text []byte) error {
	number, unit := string(text), byteSize(1)
	if rest, ok := strings.CutSuffix(number, "KiB"); ok {
		number, unit = rest, kibibyte
	} else if rest, ok := strings.CutSuffix(number, "MiB"); ok {
		number, unit = rest, mebibyte
	}
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 31)
	if err != nil {
		return fmt.Errorf("%q is not a size such as 2097152, 512KiB or 2MiB", text)
	}
	*s = byteSize(n) * unit
	return nil
}
