package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/oauth"
	"keyflow/internal/fault"
)

const (
	fallBackTimeout = testTimeout + 10*time.Second // one test with its reads and writes
	fallBackPause   = time.Minute                  // after one that did not help
)

// canFallBack refuses a promise that could not be kept: whether the former fields still work
// must be found out without a person.
func (o *opened) canFallBack() error {
	var message string
	switch {
	case o.Text("grant_type") == authtype.AuthorizationCode:
		message = "a credential that a person connects cannot fall back: somebody has to connect it"
	case o.TestURL == "" && !o.typ.Renews:
		message = "falling back needs a test_url, where the former secret is tried first"
	default:
		return nil
	}
	f := fault.New(fault.Conflict, "credential %q cannot fall back: %s", o.ID, message)
	f.Problems = []fault.Problem{{Path: "/fall_back", Code: problem.NoFallBack, Message: message}}
	return f
}

// FallBacks brings former versions back when the current ones are refused.
type FallBacks struct {
	rotation *Rotation
	editor   *Editor
	reader   *Reader
	prober   *Prober
	records  credentials.Store
	now      func() time.Time
	log      *slog.Logger

	fallBacks fallBacks
}

// fallBacks makes sure that any number of refused requests cause one fall-back. Its zero value
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

// leave is called when the upstream refused o. It reports whether another version is in force
// now: the former one came back, or somebody else changed the credential.
func (fb *FallBacks) leave(ctx context.Context, o *opened) bool {
	if !o.FallBack.Armed(fb.now()) {
		return false
	}
	attempt, begin := fb.fallBacks.join(o.ID, o.Version, fb.now())
	if begin {
		go fb.comeBack(context.WithoutCancel(ctx), o, attempt)
	}
	select {
	case <-attempt.done:
		return attempt.changed
	case <-ctx.Done():
		return false
	}
}

// comeBack makes one attempt for everyone who waits.
func (fb *FallBacks) comeBack(ctx context.Context, o *opened, attempt *fallBack) {
	ctx, cancel := context.WithTimeout(ctx, fallBackTimeout)
	defer cancel()
	defer close(attempt.done)
	err := fb.fallBack(ctx, o.ID, o.Version)
	if err != nil {
		// Whoever was faster has changed the version; that is as good.
		if now, readErr := fb.records.Get(ctx, o.ID); readErr != nil || now.Version == o.Version {
			attempt.until = fb.now().Add(fallBackPause)
			fb.log.WarnContext(ctx, "credential was refused and cannot fall back", "credential", o.ID, "version", o.Version, "error", err)
			return
		}
	}
	attempt.changed = true
}

var errNotArmed = errors.New("no fall-back is asked for any more")

// fallBack brings the former fields back if they work and the refused version is still the
// current one.
func (fb *FallBacks) fallBack(ctx context.Context, id credentials.ID, refused int) error {
	record, err := fb.records.Get(ctx, id)
	if err != nil {
		return err
	}
	before, err := fb.reader.readTrusted(record)
	if err != nil {
		return err
	}
	if before.Version != refused {
		return errReplaced
	}
	if !before.FallBack.Armed(fb.now()) {
		return errNotArmed
	}
	former, err := fb.rotation.earlier(ctx, before, before.FallBack.Version)
	if err != nil {
		return err
	}
	result, err := fb.prober.try(ctx, former)
	if err != nil {
		return err
	}
	if !result.OK {
		return fmt.Errorf("the former version does not work either: %s", result.Message)
	}
	next, err := fb.editor.change(ctx, id, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		old, err := fb.editor.still(record, before)
		if err != nil {
			return nil, err
		}
		next, err := fb.editor.record(old, former, author{credentials.SystemAuthor, credentials.Moment(fb.now()), revision, credentials.OriginFallBack})
		if err == nil {
			next.State = credentials.State{Status: credentials.OK, Since: next.UpdatedAt,
				Message: fmt.Sprintf("version %d was refused; the fields of version %d came back as version %d", refused, before.FallBack.Version, next.Version)}
		}
		return next, err
	})
	if err != nil {
		return err
	}
	fb.log.WarnContext(ctx, "credential fell back to its former fields", "credential", id, "refused", refused, "version", next.Version)
	return nil
}

// refusedByProvider reports whether a token request was refused for good.
func refusedByProvider(err error) bool {
	e, ok := errors.AsType[*oauth.Error](err)
	return ok && e.Kind != oauth.Transient
}
