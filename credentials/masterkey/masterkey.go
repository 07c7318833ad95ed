// Package masterkey owns the life of the master key: open it, say what is sealed with which key,
// add a key and seal everything with it again. The key itself stays in internal/sealing.
package masterkey

import "keyflow/credentials/internal/sealing"

// Keyset is the master key: it seals and opens secrets, for this package alone. It is safe for
// concurrent use.
type Keyset = sealing.Keyset

// KeyError says that the master key is missing, unreadable or not the one that sealed the
// data. Nothing was written; the process must not go on (exit code 3).
type KeyError = sealing.KeyError

// Where the master key comes from: a file in the data folder, or an environment variable in
// its place.
const (
	FileName    = sealing.KeyFileName
	Environment = sealing.KeyEnvironment
)

// Open reads the master key from env, the value of KEYFLOW_MASTER_KEY, or when that is
// empty from the key file in dir. Without either it makes a new one, which [New] writes to the
// file once it has seen that the database is new. Errors are *KeyError.
func Open(dir, env string) (*Keyset, error) { return sealing.OpenKeyset(dir, env) }
