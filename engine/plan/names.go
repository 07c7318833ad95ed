package plan

// Names that expressions may read, by place.
const (
	NameThis     = "this"
	NameError    = "error"
	nameResponse = "response"
)

func runNames() []string { return []string{"input", "vars", "trigger", "nodes", "run"} }

func itemNames() []string { return []string{"item", "index", "key"} }
