package usage

import (
	"context"
	"slices"
)

// forgetGroup is how many workflows are asked for, and forgotten, at once.
const forgetGroup = 200

// ForgetUsages deletes what is known of uses by workflows that do not exist, once such a use
// no longer keeps its credential from being deleted.
func (r *Reports) ForgetUsages(ctx context.Context) error {
	if r.Log.Users == nil || r.Log.Store == nil {
		return nil
	}
	before := r.Log.Now().Add(-recentUse)
	candidates, err := r.Log.Store.UsedBefore(ctx, before)
	if err != nil {
		return err
	}
	for group := range slices.Chunk(candidates, forgetGroup) {
		users, err := r.Log.Users(ctx, nil, group)
		if err != nil {
			return err
		}
		gone := slices.DeleteFunc(slices.Clone(group), func(id string) bool { return users.Existing[id] })
		if err := r.Log.Store.ForgetUsages(ctx, gone, before); err != nil {
			return err
		}
	}
	return nil
}
