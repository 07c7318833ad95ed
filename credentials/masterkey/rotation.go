package masterkey

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"keyflow/credentials"
	"keyflow/credentials/internal/sealing"
)

// Rotation rotates the master key. It is safe for concurrent use.
type Rotation struct {
	Keyset  *Keyset
	Canary  credentials.CanaryStore
	Records credentials.Store
	Log     *slog.Logger

	rotation progress
}

// progress is the re-encryption of everything sealed, at most one at a time. Its zero value
// is at rest.
type progress struct {
	walk sync.Mutex // held while one runs

	mu      sync.Mutex
	running bool
	done    int
	message string
	begin   chan struct{} // signals Serve to begin; buffers one
}

func (r *progress) update(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
}

// signal is the channel that Serve waits on.
func (r *progress) signal() chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.begin == nil {
		r.begin = make(chan struct{}, 1)
	}
	return r.begin
}

// unfinished reports whether a rotation began and did not end: the canary, which is sealed
// again last of all, names another key than the primary.
func (m *Rotation) unfinished(ctx context.Context) (bool, error) {
	sealed, err := m.Canary.Canary(ctx)
	if err != nil {
		return false, fmt.Errorf("read canary: %w", err)
	}
	return sealing.KeyID(sealed) != m.Keyset.Keys().Primary, nil
}
