package vault

import (
	"context"
	"slices"
)

// forgetGroup is how many workflows are asked for, and forgotten, at once.
const forgetGroup = 200

// ForgetUsages deletes what is known of uses by workflows that do not exist, once such a use
// no longer keeps its credential from being deleted.
func (r *UsageReports) ForgetUsages(ctx context.Context) error {
	if r.log.users == nil || r.log.store == nil {
		return nil
	}
	before := r.log.now().Add(-recentUse)
	candidates, err := r.log.store.UsedBefore(ctx, before)
	if err != nil {
		return err
	}
	for group := range slices.Chunk(candidates, forgetGroup) {
		users, err := r.log.users(ctx, nil, group)
		if err != nil {
			return err
		}
		gone := slices.DeleteFunc(slices.Clone(group), func(id string) bool { return users.Existing[id] })
		if err := r.log.store.ForgetUsages(ctx, gone, before); err != nil {
			return err
		}
	}
	return nil
}
