package credentials

// ImportMode says what an import may do.
type ImportMode string

// The modes. The zero value is ImportUpsert.
const (
	ImportUpsert ImportMode = "upsert" // create what is missing, change what exists
	ImportUpdate ImportMode = "update" // an unknown id is a problem
)

// ImportOptions say how to import.
type ImportOptions struct {
	DryRun bool // only plan
	Mode   ImportMode
	// Folder, when set, must hold every credential that the import touches, itself or below; it
	// is where credentials without a folder are created.
	Folder string
}

// ImportPlan is what an import did, or in a dry run would do. No value is in it.
type ImportPlan struct {
	DryRun    bool         `json:"dry_run"`
	Created   int          `json:"created"`
	Updated   int          `json:"updated"`
	Unchanged int          `json:"unchanged"`
	Items     []ImportItem `json:"items" nullable:"false"` // in the order of the rows
}

// ImportItem is the plan for one row.
type ImportItem struct {
	ID     ID           `json:"id"`
	Action ImportAction `json:"action" enum:"create,update,unchanged"`
	// Changed names what the row changes, such as "name" or "fields.password".
	Changed []string `json:"changed" nullable:"false"`
}

// ImportAction is what an import does with one row.
type ImportAction string

// The actions.
const (
	ActionCreate    ImportAction = "create"
	ActionUpdate    ImportAction = "update"
	ActionUnchanged ImportAction = "unchanged"
)
