package credentials

import "context"

// CanaryStore keeps one sealed text that proves, at start, that the key fits the data. It also
// gives the walk over everything sealed that a change of the key needs.
type CanaryStore interface {
	SealedStore
	// Canary returns nil when the database is new.
	Canary(ctx context.Context) ([]byte, error)
	// PutCanary stores the canary if there is none yet and returns the one that is stored.
	PutCanary(ctx context.Context, sealed []byte) ([]byte, error)
	// Empty reports whether nothing sealed is stored.
	Empty(ctx context.Context) (bool, error)
}

// KeyStatus says which master keys there are and what is sealed with them. No key is in it.
type KeyStatus struct {
	Source   string      `json:"source" enum:"file,environment" doc:"Where the keys come from."`
	Primary  uint32      `json:"primary" doc:"ID of the key that seals."`
	Keys     []KeyInfo   `json:"keys" nullable:"false" doc:"Oldest first, then those that are missing."`
	Rotation KeyRotation `json:"rotation"`
}

// KeyInfo is one master key, or one that sealed texts name although nobody has it here.
type KeyInfo struct {
	ID      uint32 `json:"id"`
	Primary bool   `json:"primary"`
	Sealed  int    `json:"sealed" doc:"How many stored texts are sealed with it."`
	Missing bool   `json:"missing,omitempty" doc:"Texts are sealed with it, but the key source does not hold it."`
}

// KeyRotation is how far the re-encryption with the primary key is.
type KeyRotation struct {
	Running bool   `json:"running"`
	Pending int    `json:"pending" doc:"Texts that are not sealed with the primary key."`
	Done    int    `json:"done" doc:"Texts that this process has sealed again since it began."`
	Message string `json:"message" doc:"What to do next, or what went wrong; empty when nothing."`
}

// SealedRow is one stored row that holds ciphertext. Each text is bound to the place that
// Kind, Credential, Version and its field name.
type SealedRow struct {
	Kind       string // of the place: "field", "token", …
	Credential ID
	Version    int64             // 0 for kinds without
	Texts      map[string][]byte // by field; kinds without fields have one, ""
	Row        any               // what names the row to the store, and what it contained
}

// SealedStore walks over everything that is sealed.
type SealedStore interface {
	// SealedKinds lists the kinds of associated data.
	SealedKinds() []string
	// SealedRows returns at most limit rows of a kind, in an order that stays the same, after
	// the given one (nil: from the beginning).
	SealedRows(ctx context.Context, kind string, after *SealedRow, limit int) ([]SealedRow, error)
	// Reseal writes the texts of rows in one transaction, each only if the row still holds what
	// was read, and reports how many it wrote. Where writers take turns it waits for the one
	// before, also when there are no rows.
	Reseal(ctx context.Context, rows []SealedRow) (int, error)
	// SwapCanary replaces the canary if it is still old and reports whether it was.
	SwapCanary(ctx context.Context, old, next []byte) (bool, error)
}
