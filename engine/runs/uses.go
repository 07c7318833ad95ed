package runs

import (
	"time"

	"keyflow/credentials"
	"keyflow/workflows"
)

// UseFilter selects calls made with a credential, those of the newest runs first.
type UseFilter struct {
	Credential credentials.ID
	Folder     string // of the run's workflow: this folder and below; "" is all
	After      string // exclusive cursor: the Place of a use; "" is from the newest
	Limit      int    // 1..500
}

// CredentialUse is one call with a credential, as the run history keeps it.
type CredentialUse struct {
	Cursor   string // names the use as a cursor
	Run      ID
	Workflow workflows.ID
	Node     workflows.NodeID
	Index    int       // NoIndex without for_each
	At       time.Time // when its attempt began
	Call     credentials.Call
}
