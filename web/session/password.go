package session

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"keyflow/internal/secret"
)

// Cost is the price of one argon2id hash (RFC 9106). It is stored with each hash, so that
// it can rise later without invalidating passwords.
type Cost struct {
	MemoryKiB uint32
	Time      uint32
	Threads   uint8
}

// DefaultCost is the first choice of the OWASP password storage cheat sheet.
func DefaultCost() Cost { return Cost{MemoryKiB: 19 * 1024, Time: 2, Threads: 1} }

const (
	saltSize = 16
	keySize  = 32
	// hashesAtOnce bounds the memory that sign-ins can take together.
	hashesAtOnce = 4
	// maxMemoryKiB and maxTime bound what a stored hash may ask for.
	maxMemoryKiB = 1 << 20
	maxTime      = 64
)

// passwords hashes and checks passwords, a few at once.
type passwords struct {
	cost  Cost
	slots chan struct{}
	// unknown has the form of a hash at the same cost, of no known password: checking against
	// it takes as long as checking a real account's.
	unknown string
}

func newPasswords(cost Cost) *passwords {
	p := &passwords{cost: cost, slots: make(chan struct{}, hashesAtOnce)}
	p.unknown = cost.phc(random(saltSize), random(keySize)) // making a real one would slow down every start
	return p
}

// hash returns the PHC string of the password.
func (p *passwords) hash(ctx context.Context, password secret.Text) (string, error) {
	if err := p.acquire(ctx); err != nil {
		return "", err
	}
	defer p.release()
	return p.encode(password), nil
}

// verify reports whether the password has that PHC string. An empty one stands for an
// unknown account: the answer is no, after the same work.
func (p *passwords) verify(ctx context.Context, phc string, password secret.Text) (bool, error) {
	known := phc != ""
	if !known {
		phc = p.unknown
	}
	cost, salt, want, err := parsePHC(phc)
	if err != nil {
		return false, err
	}
	if err := p.acquire(ctx); err != nil {
		return false, err
	}
	defer p.release()
	got := argon2.IDKey([]byte(password.Reveal()), salt, cost.Time, cost.MemoryKiB, cost.Threads, keySize)
	return subtle.ConstantTimeCompare(got, want) == 1 && known, nil
}

func (p *passwords) acquire(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a password check: %w", ctx.Err())
	}
}

func (p *passwords) release() { <-p.slots }

func (p *passwords) encode(password secret.Text) string {
	salt := random(saltSize)
	return p.cost.phc(salt, argon2.IDKey([]byte(password.Reveal()), salt, p.cost.Time, p.cost.MemoryKiB, p.cost.Threads, keySize))
}

func random(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

// phc writes a hash as a PHC string.
func (c Cost) phc(salt, key []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.MemoryKiB, c.Time, c.Threads, b64(salt), b64(key))
}

var errPHC = errors.New("stored password hash is not a PHC string of argon2id")

// parsePHC reads $argon2id$v=19$m=...,t=...,p=...$salt$key.
func parsePHC(phc string) (cost Cost, salt, key []byte, err error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return Cost{}, nil, nil, errPHC
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &cost.MemoryKiB, &cost.Time, &cost.Threads); err != nil {
		return Cost{}, nil, nil, errPHC
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[4])
	key, keyErr := base64.RawStdEncoding.DecodeString(parts[5])
	switch {
	case saltErr != nil || keyErr != nil || len(salt) == 0 || len(key) != keySize:
		return Cost{}, nil, nil, errPHC
	case cost.Threads == 0 || cost.Time == 0 || cost.Time > maxTime || cost.MemoryKiB > maxMemoryKiB:
		return Cost{}, nil, nil, errPHC
	}
	return cost, salt, key, nil
}
