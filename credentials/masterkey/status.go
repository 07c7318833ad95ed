package masterkey

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/sealing"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// Keys says which master keys there are, what is sealed with each and how far a rotation is.
// Errors: Forbidden.
func (m *Rotation) Keys(ctx context.Context, caller identity.Caller) (credentials.KeyStatus, error) {
	if err := caller.Require(identity.Administer, "/"); err != nil {
		return credentials.KeyStatus{}, err
	}
	count, err := m.countSealed(ctx)
	if err != nil {
		return credentials.KeyStatus{}, err
	}
	r := m.Keyset.Keys()
	status := credentials.KeyStatus{Source: "file", Primary: r.Primary}
	if !m.Keyset.FromFile() {
		status.Source = "environment"
	}
	for _, id := range r.IDs {
		status.Keys = append(status.Keys, credentials.KeyInfo{ID: id, Primary: id == r.Primary, Sealed: count[id]})
		if id != r.Primary {
			status.Rotation.Pending += count[id]
		}
		delete(count, id)
	}
	for _, id := range slices.Sorted(maps.Keys(count)) {
		status.Keys = append(status.Keys, credentials.KeyInfo{ID: id, Sealed: count[id], Missing: true})
		status.Rotation.Pending += count[id]
	}
	m.rotation.update(func() {
		status.Rotation.Running, status.Rotation.Done, status.Rotation.Message = m.rotation.running, m.rotation.done, m.rotation.message
	})
	if status.Rotation.Message == "" {
		status.Rotation.Message = m.nextStep(r)
	}
	return status, nil
}

// nextStep says what a person has to do before a key that was added can seal; "" is nothing.
func (m *Rotation) nextStep(r sealing.Keys) string {
	if !m.Keyset.FromFile() || r.Newest() == r.Primary {
		return ""
	}
	return fmt.Sprintf("key %d was added to %s and seals nothing yet. Other processes use this database: put the file into the data folder of each of them, "+
		"then rotate again, which re-encrypts everything with it", r.Newest(), m.Keyset.Source())
}

// RotateKeys adds a master key and re-encrypts everything sealed with it, in the background of
// [Rotation.ServeRotation] or by [Rotation.FinishRotation]. When a rotation is under way, or was
// and did not end, it is that one which goes on.
//
// With a database that processes share, the first call only adds the key to the key file: the
// operator gives the file to the others, and the next call re-encrypts. Keys from the
// environment cannot be added to: everything is re-encrypted with the primary given there.
// Errors: Forbidden, Conflict when no key can be added.
func (m *Rotation) RotateKeys(ctx context.Context, caller identity.Caller) (credentials.KeyStatus, error) {
	if err := caller.Require(identity.Administer, "/"); err != nil {
		return credentials.KeyStatus{}, err
	}
	begin, err := m.prepareKeys(ctx, caller)
	if err != nil {
		return credentials.KeyStatus{}, err
	}
	if begin {
		m.rotation.update(func() { m.rotation.running, m.rotation.done, m.rotation.message = true, 0, "" })
		select {
		case m.rotation.signal() <- struct{}{}:
		default: // Serve will begin anyway
		}
	}
	return m.Keys(ctx, caller)
}

// prepareKeys adds a key, unless a rotation is under way, and reports whether there is
// something to re-encrypt.
func (m *Rotation) prepareKeys(ctx context.Context, caller identity.Caller) (begin bool, err error) {
	if !m.rotation.walk.TryLock() {
		return false, nil // it is running: the caller joins
	}
	defer m.rotation.walk.Unlock()
	running := false
	m.rotation.update(func() { running = m.rotation.running })
	unfinished, err := m.unfinished(ctx)
	if running || unfinished || err != nil {
		return unfinished, err
	}
	if !m.Keyset.FromFile() {
		return false, fault.New(fault.Conflict, "%s holds the master key, so no key can be added here, and everything is sealed with its primary key already. "+
			"Set it to a keyset (the text of a %s file) with a new primary key beside the present ones, restart, and rotate again", Environment, FileName)
	}
	r := m.Keyset.Keys()
	seals := !m.Records.Shared() || r.Newest() != r.Primary
	if err := m.Keyset.Grow(seals); err != nil {
		return false, err
	}
	m.Log.InfoContext(ctx, "master key added", "key", m.Keyset.Keys().Newest(), "file", m.Keyset.Source(), "seals", seals, "by", caller.Name)
	return seals, nil
}

// rotationPause is the time after which a rotation that failed is tried again.
const rotationPause = time.Minute

// ServeRotation finishes an earlier rotation and runs those that are asked for, until ctx is
// done. A new primary in the environment of one process is no rotation that began: with a
// shared database the others may not have it, so it waits to be asked for.
func (m *Rotation) ServeRotation(ctx context.Context) {
	begin := m.Keyset.FromFile() || !m.Records.Shared()
	again := time.NewTimer(0)
	again.Stop()
	defer again.Stop()
	for {
		if begin {
			if err := m.FinishRotation(ctx); err != nil && ctx.Err() == nil {
				m.Log.ErrorContext(ctx, "master key rotation stopped; it is tried again", "error", err)
				again.Reset(rotationPause)
			}
		}
		select {
		case <-m.rotation.signal():
		case <-again.C:
		case <-ctx.Done():
			return
		}
		begin = true
	}
}
