package rotation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/editing"
	"keyflow/credentials/internal/probe"
)

const (
	fallBackTimeout = probe.Timeout + 10*time.Second // one test with its reads and writes
	fallBackPause   = time.Minute                    // after one that did not help
)

// FallBacks restores former versions when the current ones are refused.
type FallBacks struct {
	Rotation *Rotation
	Editor   *editing.Editor
	Reader   *decrypted.Reader
	Prober   *probe.Prober
	Records  credentials.Store
	Now      func() time.Time
	Log      *slog.Logger

	fallBacks fallBacks
}

// fallBacks coalesces fall-backs: any number of refused requests cause one. Its zero value
// is ready.
type fallBacks struct {
	mu   sync.Mutex
	byID map[credentials.ID]*fallBack
}

// fallBack is one attempt to get away from a refused version.
type fallBack struct {
	version int
	done    chan struct{}
	// After done: changed says that another version is in force; else nobody tries again
	// before until.
	changed bool
	until   time.Time
}

// join returns the attempt to wait for; begin says that the caller is to make it.
func (f *fallBacks) join(id credentials.ID, version int, now time.Time) (attempt *fallBack, begin bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byID == nil {
		f.byID = make(map[credentials.ID]*fallBack)
	}
	if last := f.byID[id]; last != nil && last.version >= version {
		select {
		case <-last.done:
			if last.changed || now.Before(last.until) {
				return last, false
			}
		default:
			return last, false
		}
	}
	f.byID[id] = &fallBack{version: version, done: make(chan struct{})}
	return f.byID[id], true
}

func (f *fallBacks) forget(id credentials.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.byID, id)
}

// FallBack is called when the upstream refused o. It reports whether another version is in force
// now: the former one came back, or somebody else changed the credential.
func (fb *FallBacks) FallBack(ctx context.Context, o *decrypted.Credential) bool {
	if !o.FallBack.Armed(fb.Now()) {
		return false
	}
	attempt, begin := fb.fallBacks.join(o.ID, o.Version, fb.Now())
	if begin {
		go fb.attempt(context.WithoutCancel(ctx), o, attempt)
	}
	select {
	case <-attempt.done:
		return attempt.changed
	case <-ctx.Done():
		return false
	}
}

// attempt makes one attempt for everyone who waits.
func (fb *FallBacks) attempt(ctx context.Context, o *decrypted.Credential, attempt *fallBack) {
	ctx, cancel := context.WithTimeout(ctx, fallBackTimeout)
	defer cancel()
	defer close(attempt.done)
	err := fb.fallBack(ctx, o.ID, o.Version)
	if err != nil {
		// Whoever was faster has changed the version; that is as good.
		if now, readErr := fb.Records.Get(ctx, o.ID); readErr != nil || now.Version == o.Version {
			attempt.until = fb.Now().Add(fallBackPause)
			fb.Log.WarnContext(ctx, "credential was refused and cannot fall back", "credential", o.ID, "version", o.Version, "error", err)
			return
		}
	}
	attempt.changed = true
}

var errNotArmed = errors.New("no fall-back is asked for any more")

// fallBack restores the former fields if they work and the refused version is still the
// current one.
func (fb *FallBacks) fallBack(ctx context.Context, id credentials.ID, refused int) error {
	record, err := fb.Records.Get(ctx, id)
	if err != nil {
		return err
	}
	before, err := fb.Reader.Trusted(record)
	if err != nil {
		return err
	}
	if before.Version != refused {
		return errReplaced
	}
	if !before.FallBack.Armed(fb.Now()) {
		return errNotArmed
	}
	former, err := fb.Rotation.earlier(ctx, before, before.FallBack.Version)
	if err != nil {
		return err
	}
	result, err := fb.Prober.Draft(ctx, former)
	if err != nil {
		return err
	}
	if !result.OK {
		return fmt.Errorf("the former version does not work either: %s", result.Message)
	}
	next, err := fb.Editor.Change(ctx, id, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		old, err := fb.Editor.Still(record, before)
		if err != nil {
			return nil, err
		}
		next, err := fb.Editor.Record(old, former, editing.Author{Name: credentials.SystemAuthor, At: credentials.Moment(fb.Now()), Revision: revision, Origin: credentials.OriginFallBack})
		if err == nil {
			next.State = credentials.State{Status: credentials.OK, Since: next.UpdatedAt,
				Message: fmt.Sprintf("version %d was refused; the fields of version %d came back as version %d", refused, before.FallBack.Version, next.Version)}
		}
		return next, err
	})
	if err != nil {
		return err
	}
	fb.Log.WarnContext(ctx, "credential fell back to its former fields", "credential", id, "refused", refused, "version", next.Version)
	return nil
}

// Forget drops what is known of a credential that is gone.
func (fb *FallBacks) Forget(id credentials.ID) { fb.fallBacks.forget(id) }
