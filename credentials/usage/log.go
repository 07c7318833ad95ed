// Package usage knows who uses credentials: which workflows name them, which nodes used them and
// when, and whom to remind before they end. It must not know how credentials are used.
package usage

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"keyflow/credentials"
)

const (
	useWrites    = 10 * time.Second
	flushTimeout = 5 * time.Second
)

// Log knows who uses credentials. It is safe for concurrent use.
type Log struct {
	Records credentials.Store
	Store   credentials.UsageStore // nil: uses by nodes are not noted
	Usages  func(ctx context.Context, id credentials.ID) ([]credentials.Usage, error)
	Users   func(ctx context.Context, ids []credentials.ID, workflows []string) (credentials.Users, error)
	Now     func() time.Time
	Log     *slog.Logger

	uses uses
	seen seenUses
}

// Note notes how a request of a workflow ended. It does not block.
func (l *Log) Note(use credentials.Seen) {
	if l.Store != nil {
		l.seen.note(use)
	}
}

// Last is the last use of a credential that this process knows of.
func (l *Log) Last(id credentials.ID) (time.Time, bool) { return l.uses.at(id) }

// Forget drops what is not written of a credential that is gone.
func (l *Log) Forget(id credentials.ID) {
	l.seen.forget(id)
	l.uses.forget(id)
}

// Touch notes that the credential was used. It does not block: Serve and Close write it.
func (l *Log) Touch(id credentials.ID, now time.Time) {
	l.uses.note(id, now.UTC().Truncate(time.Microsecond))
}

// Serve writes uses until ctx is done, and then what is left of them.
func (l *Log) Serve(ctx context.Context) error {
	ticker := time.NewTicker(useWrites)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := l.flush(ctx, false); err != nil {
				l.Log.WarnContext(ctx, "last uses of credentials not written", "error", err)
			}
		case <-ctx.Done():
			return l.Close(context.WithoutCancel(ctx))
		}
	}
}

// Close writes what serve has not written yet.
func (l *Log) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	return l.flush(ctx, true)
}

// flush drops what it cannot write: the next use is at most a minute away.
func (l *Log) flush(ctx context.Context, all bool) error {
	err := l.flushUsages(ctx, all)
	if due := l.uses.take(); len(due) > 0 {
		err = errors.Join(l.Records.Touch(ctx, due), err)
	}
	return err
}

// flushUsages writes what is due, or all. What cannot be written is noted again by the next use.
func (l *Log) flushUsages(ctx context.Context, all bool) error {
	if l.Store == nil {
		return nil
	}
	due := l.seen.take(l.Now(), all)
	if len(due) == 0 {
		return nil
	}
	return l.Store.NoteUsages(ctx, due)
}
