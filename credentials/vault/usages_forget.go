package vault

import (
	"context"
	"slices"
)

// forgetGroup is how many workflows are asked for, and forgotten, at once.
const forgetGroup = 200

// ForgetUsages deletes what is known of uses by workflows that do not exist, once such a use
// no longer keeps its credential from being deleted.
func (v *Vault) ForgetUsages(ctx context.Context) error {
	if v.users == nil || v.seenStore == nil {
		return nil
	}
	before := v.now().Add(-recentUse)
	candidates, err := v.seenStore.UsedBefore(ctx, before)
	if err != nil {
		return err
	}
	for group := range slices.Chunk(candidates, forgetGroup) {
		users, err := v.users(ctx, nil, group)
		if err != nil {
			return err
		}
		gone := slices.DeleteFunc(slices.Clone(group), func(id string) bool { return users.Existing[id] })
		if err := v.seenStore.ForgetUsages(ctx, gone, before); err != nil {
			return err
		}
	}
	return nil
}
