package sealing

import (
	"slices"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ring is a set of master keys, oldest first. One of them, the primary, seals; all open. It is
// immutable.
type ring struct {
	handle  *keyset.Handle
	aead    tink.AEAD
	ids     []uint32
	primary uint32
}

func newRing(handle *keyset.Handle) (*ring, error) {
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, err
	}
	info := handle.KeysetInfo()
	r := &ring{handle: handle, aead: primitive, primary: info.GetPrimaryKeyId()}
	for _, key := range info.GetKeyInfo() {
		r.ids = append(r.ids, key.GetKeyId())
	}
	return r, nil
}

func (r *ring) holds(id uint32) bool { return slices.Contains(r.ids, id) }

// newer reports whether key id was added after the primary.
func (r *ring) newer(id uint32) bool {
	return slices.Index(r.ids, id) > slices.Index(r.ids, r.primary)
}

// newest is the key that was added last.
func (r *ring) newest() uint32 { return r.ids[len(r.ids)-1] }

// lacks reports whether r misses a key of other.
func (r *ring) lacks(other *ring) bool {
	return slices.ContainsFunc(other.ids, func(id uint32) bool { return !r.holds(id) })
}

// with is the ring with another primary, which it holds.
func (r *ring) with(primary uint32) (*ring, error) {
	m := keyset.NewManagerFromHandle(r.handle)
	if err := m.SetPrimary(primary); err != nil {
		return nil, err
	}
	handle, err := m.Handle()
	if err != nil {
		return nil, err
	}
	return newRing(handle)
}

// grown is the ring with one more key, the newest, which is not the primary.
func (r *ring) grown() (*ring, error) {
	m := keyset.NewManagerFromHandle(r.handle)
	if _, err := m.Add(aead.AES256GCMKeyTemplate()); err != nil {
		return nil, err
	}
	handle, err := m.Handle()
	if err != nil {
		return nil, err
	}
	return newRing(handle)
}

// follow makes a newer key of the file the primary: another process has sealed with it, so that
// all may. The primary of keys from elsewhere is the operator's choice.
func (k *Keyset) follow(id uint32) {
	r := k.ring.Load()
	if k.file.path == "" || !r.newer(id) {
		return
	}
	if next, err := r.with(id); err == nil {
		k.ring.CompareAndSwap(r, next)
	}
}
