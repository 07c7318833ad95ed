package engine

import (
	"keyflow/credentials"
)

// What a run may hold beyond the output of one step (Options.MaxOutput). A stored value of any
// kind is at most 16 MiB.
const (
	// maxCalls bounds the addresses of a step's calls that the history keeps, in bytes: of more,
	// by thousands of pages over many attempts, the latest are kept.
	maxCalls = 4 << 20
)

// latestCalls drops the oldest calls when they are too many to store.
func latestCalls(calls []credentials.Call) []credentials.Call {
	size := 0
	for i := len(calls) - 1; i >= 0; i-- {
		if size += len(calls[i].URL) + len(calls[i].Fingerprint) + 128; size > maxCalls { // 128: the rest of one
			return calls[i+1:]
		}
	}
	return calls
}
