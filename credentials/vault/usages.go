package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
	"keyflow/internal/egress"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

const (
	// recentUse is how long a use at run time keeps a credential from being deleted.
	recentUse = 30 * 24 * time.Hour
	// maxSeen bounds what is remembered until it is written; beyond it uses are not noted.
	maxSeen = 10_000
)

// seenKey is what a use is remembered by.
type seenKey struct {
	credential     credentials.ID
	workflow, node string
}

// seen is a use that may not be written yet.
type seen struct {
	credentials.Seen
	written time.Time // when the one before was; zero: none was
	dirty   bool
}

// seenUses collects uses at run time until they are written. Its zero value is empty.
type seenUses struct {
	mu   sync.Mutex
	last map[seenKey]*seen
}

func (u *seenUses) note(use credentials.Seen) {
	key := seenKey{use.Credential, use.Workflow, use.Node}
	u.mu.Lock()
	defer u.mu.Unlock()
	entry := u.last[key]
	switch {
	case entry != nil:
	case len(u.last) >= maxSeen:
		return
	default:
		if u.last == nil {
			u.last = make(map[seenKey]*seen)
		}
		entry = new(seen)
		u.last[key] = entry
	}
	entry.Seen, entry.dirty = use, true
}

// take returns what is to be written: of each key at most one use a minute, unless all is
// asked for. Keys without news for a minute are forgotten.
func (u *seenUses) take(now time.Time, all bool) []credentials.Seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	var due []credentials.Seen
	for key, entry := range u.last {
		rested := now.Sub(entry.written) >= useResolution
		switch {
		case entry.dirty && (rested || all):
			due = append(due, entry.Seen)
			entry.written, entry.dirty = now, false
		case !entry.dirty && rested:
			delete(u.last, key)
		}
	}
	return due
}

func (u *seenUses) forget(id credentials.ID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key := range u.last {
		if key.credential == id {
			delete(u.last, key)
		}
	}
}

// usedAs notes how a request of a workflow ended. It does not block.
func (t *transport) usedAs(ctx context.Context, status int, err error) {
	if t.draft || t.use.Workflow == "" {
		return
	}
	use := credentials.Seen{
		Credential: t.use.ID, Workflow: t.use.Workflow, Node: t.use.Node,
		At: credentials.Moment(t.resolver.now()), Status: status,
	}
	if err != nil {
		var known bool
		if use.Status, use.Error, known = failedUse(ctx, err); !known {
			return
		}
	}
	t.resolver.usage.noteUse(use)
}

// failedUse classifies a failure. One that says that the credential is not there for the
// workflow is no use of it; nor is one whose step was interrupted.
func failedUse(ctx context.Context, err error) (status int, code string, use bool) {
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		if e.Answer != nil {
			status = e.Answer.Status
		}
		return status, e.Code, e.Code != credentials.CodeUnknown && e.Code != credentials.CodeWorkflowNotAllowed
	}
	if e, ok := egress.AsError(err); ok {
		return 0, e.Code, ctx.Err() == nil || e.Timeout
	}
	return 0, "", false
}

// flushUsages writes what is due, or all. What cannot be written is noted again by the next use.
func (l *UsageLog) flushUsages(ctx context.Context, all bool) error {
	if l.store == nil {
		return nil
	}
	due := l.seen.take(l.now(), all)
	if len(due) == 0 {
		return nil
	}
	return l.store.NoteUsages(ctx, due)
}

// UsageReports tells people who uses credentials.
type UsageReports struct {
	log     *UsageLog
	records credentials.Store
}

// Usages lists the places in workflows that name a credential literally and the nodes of
// existing workflows that used it when they ran, ordered by workflow, node and trigger.
func (r *UsageReports) Usages(ctx context.Context, caller identity.Caller, id credentials.ID) ([]credentials.Usage, error) {
	record, err := r.records.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := authorize(caller, identity.View, id, record.Folder); err != nil {
		return nil, err
	}
	return r.log.usagesOf(ctx, id)
}

func (l *UsageLog) usagesOf(ctx context.Context, id credentials.ID) ([]credentials.Usage, error) {
	list, err := l.usages(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("find usages of credential %q: %w", id, err)
	}
	list = slices.Clone(list)
	place := make(map[[2]string]int, len(list))
	for i := range list {
		list[i].Literal = true
		if list[i].Trigger == "" {
			place[[2]string{list[i].Workflow, list[i].Node}] = i
		}
	}
	seen, err := l.seenOf(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, s := range seen {
		i, literal := place[[2]string{s.Workflow, s.Node}]
		if !literal {
			i = len(list)
			list = append(list, credentials.Usage{Workflow: s.Workflow, Node: s.Node})
		}
		u := &list[i]
		u.LastUsedAt, u.LastError = &s.At, s.Error
		if s.Status != 0 {
			u.LastStatus = &s.Status
		}
	}
	slices.SortFunc(list, func(a, b credentials.Usage) int {
		return cmp.Or(cmp.Compare(a.Workflow, b.Workflow), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Trigger, b.Trigger))
	})
	return list, nil
}

// seenOf returns the uses at run time by workflows that exist.
func (l *UsageLog) seenOf(ctx context.Context, id credentials.ID) ([]credentials.Seen, error) {
	if l.store == nil || l.users == nil {
		return nil, nil
	}
	if err := l.flushUsages(ctx, true); err != nil {
		l.log.WarnContext(ctx, "uses of credentials not written", "error", err)
	}
	seen, err := l.store.Usages(ctx, id)
	if err != nil || len(seen) == 0 {
		return nil, err
	}
	workflows := make([]string, len(seen))
	for i, s := range seen {
		workflows[i] = s.Workflow
	}
	users, err := l.users(ctx, nil, slices.Compact(workflows))
	if err != nil {
		return nil, fmt.Errorf("find workflows that used credential %q: %w", id, err)
	}
	return slices.DeleteFunc(seen, func(s credentials.Seen) bool { return !users.Existing[s.Workflow] }), nil
}

// blocking selects the usages that keep a credential from being deleted: those by name, and
// those at run time that are recent.
func (l *UsageLog) blocking(list []credentials.Usage) []credentials.Usage {
	since := l.now().Add(-recentUse)
	return slices.DeleteFunc(slices.Clone(list), func(u credentials.Usage) bool {
		return !u.Literal && (u.LastUsedAt == nil || u.LastUsedAt.Before(since))
	})
}

// usedProblem tells of one usage that keeps a credential.
func usedProblem(u credentials.Usage) fault.Problem {
	switch p := (fault.Problem{Code: problem.InUse}); {
	case !u.Literal:
		p.Path = problem.Pointer("workflows", u.Workflow, "nodes", u.Node)
		p.Message = fmt.Sprintf("node %q of workflow %q used it at run time, last at %s", u.Node, u.Workflow, u.LastUsedAt.UTC().Format(time.RFC3339))
		return p
	case u.Node != "":
		p.Path = problem.Pointer("workflows", u.Workflow, "nodes", u.Node)
		p.Message = fmt.Sprintf("node %q of workflow %q uses it", u.Node, u.Workflow)
		return p
	case u.Trigger != "":
		p.Path = problem.Pointer("workflows", u.Workflow, "triggers", u.Trigger)
		p.Message = fmt.Sprintf("trigger %q of workflow %q uses it", u.Trigger, u.Workflow)
		return p
	default:
		p.Path = problem.Pointer("workflows", u.Workflow)
		p.Message = fmt.Sprintf("workflow %q uses it", u.Workflow)
		return p
	}
}

// shown is what is told of one credential.
func (w *Viewer) shown(ctx context.Context, c credentials.Credential) credentials.Credential {
	page := []credentials.Credential{w.view(c)}
	if err := w.usage.countUsers(ctx, page); err != nil {
		w.log.WarnContext(ctx, "the workflows that use a credential cannot be counted", "credential", c.ID, "error", err)
	}
	return page[0]
}

// countUsers fills in UsedBy of a page, in two queries.
func (l *UsageLog) countUsers(ctx context.Context, page []credentials.Credential) error {
	if len(page) == 0 || l.users == nil {
		return nil
	}
	ids := make([]credentials.ID, len(page))
	for i := range page {
		ids[i] = page[i].ID
	}
	used := map[credentials.ID][]string{}
	if l.store != nil {
		var err error
		if used, err = l.store.UsedBy(ctx, ids); err != nil {
			return err
		}
	}
	var candidates []string
	for _, workflows := range used {
		candidates = append(candidates, workflows...)
	}
	slices.Sort(candidates)
	users, err := l.users(ctx, ids, slices.Compact(candidates))
	if err != nil {
		return fmt.Errorf("count the workflows that use credentials: %w", err)
	}
	for i := range page {
		c := &page[i]
		distinct := make(map[string]bool)
		for _, w := range users.Naming[c.ID] {
			distinct[w] = true
		}
		for _, w := range used[c.ID] {
			if users.Existing[w] {
				distinct[w] = true
			}
		}
		c.UsedBy = len(distinct)
	}
	return nil
}
