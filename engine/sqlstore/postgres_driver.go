package sqlstore

import (
	"fmt"
)

// column returns the array of one column.
func column[R, V any](rows []R, value func(R) V) []V {
	values := make([]V, len(rows))
	for i, row := range rows {
		values[i] = value(row)
	}
	return values
}

// idOrNil returns nil, which is NULL, for the zero id.
func idOrNil[ID ~[16]byte](id ID) []byte {
	if id == (ID{}) {
		return nil
	}
	return id[:]
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
