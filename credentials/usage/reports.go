package usage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/access"
	"keyflow/internal/identity"
)

const (
	// recentUse is how long a use at run time keeps a credential from being deleted.
	recentUse = 30 * 24 * time.Hour
	// maxSeen bounds what is remembered until it is written; beyond it uses are not noted.
	maxSeen = 10_000
)

// Reports says who uses credentials.
type Reports struct {
	Log     *Log
	Records credentials.Store
}

// Usages lists the nodes and triggers that name a credential literally and the nodes of
// existing workflows that used it when they ran, ordered by workflow, node and trigger.
func (r *Reports) Usages(ctx context.Context, caller identity.Caller, id credentials.ID) ([]credentials.Usage, error) {
	record, err := r.Records.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := access.Authorize(caller, identity.View, id, record.Folder); err != nil {
		return nil, err
	}
	return r.Log.UsagesOf(ctx, id)
}

// UsagesOf is Usages without a check of rights.
func (l *Log) UsagesOf(ctx context.Context, id credentials.ID) ([]credentials.Usage, error) {
	list, err := l.Usages(ctx, id)
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
func (l *Log) seenOf(ctx context.Context, id credentials.ID) ([]credentials.Seen, error) {
	if l.Store == nil || l.Users == nil {
		return nil, nil
	}
	if err := l.flushUsages(ctx, true); err != nil {
		l.Log.WarnContext(ctx, "uses of credentials not written", "error", err)
	}
	seen, err := l.Store.Usages(ctx, id)
	if err != nil || len(seen) == 0 {
		return nil, err
	}
	workflows := make([]string, len(seen))
	for i, s := range seen {
		workflows[i] = s.Workflow
	}
	users, err := l.Users(ctx, nil, slices.Compact(workflows))
	if err != nil {
		return nil, fmt.Errorf("find workflows that used credential %q: %w", id, err)
	}
	return slices.DeleteFunc(seen, func(s credentials.Seen) bool { return !users.Existing[s.Workflow] }), nil
}

// Blocking selects the usages that keep a credential from being deleted: those by name, and
// those at run time that are recent.
func (l *Log) Blocking(list []credentials.Usage) []credentials.Usage {
	since := l.Now().Add(-recentUse)
	return slices.DeleteFunc(slices.Clone(list), func(u credentials.Usage) bool {
		return !u.Literal && (u.LastUsedAt == nil || u.LastUsedAt.Before(since))
	})
}

// CountUsers fills in UsedBy of a page, in two queries.
func (l *Log) CountUsers(ctx context.Context, page []credentials.Credential) error {
	if len(page) == 0 || l.Users == nil {
		return nil
	}
	ids := make([]credentials.ID, len(page))
	for i := range page {
		ids[i] = page[i].ID
	}
	used := map[credentials.ID][]string{}
	if l.Store != nil {
		var err error
		if used, err = l.Store.UsedBy(ctx, ids); err != nil {
			return err
		}
	}
	var candidates []string
	for _, workflows := range used {
		candidates = append(candidates, workflows...)
	}
	slices.Sort(candidates)
	users, err := l.Users(ctx, ids, slices.Compact(candidates))
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
