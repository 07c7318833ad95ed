package plan

import (
	"time"

	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/internal/expression"
	"keyflow/nodes"
	"keyflow/workflows"
)

// Param is one compiled parameter of a node: an expression that the node evaluates, a
// literal that was checked once, or a template.
type Param struct {
	Decl       nodes.Param
	Expression *expression.Expression
	Value      *expression.Value
	Literal    bool
	// sealed are the members of a Sealed object that come from outputs of sensitive nodes alone;
	// everyMember stands for all.
	Sealed []string
	Fixed  any // of a literal, in its declared kind
}

// Plan is a compiled definition: every template and expression parsed, every reference
// checked, every number of a node fixed. It is immutable and shared by all its runs.
type Plan struct {
	Definition     *workflows.Definition
	Nodes          []Node
	Index          map[workflows.NodeID]int
	Shape          state.Shape
	Vars           map[string]any
	Output         *expression.Value // nil: the run's result is null
	OutputRead     Reads
	Timeout        time.Duration // of running time
	ConnectTimeout time.Duration // how long steps wait for a credential to be connected; 0: they fail
	responds       bool          // it has a respond node

	Concurrency *Concurrency // nil: any number of runs at once
}

// Node is a compiled node.
type Node struct {
	ID        workflows.NodeID
	Type      nodes.Type
	Runner    nodes.Node
	Needs     []int
	Methods   []string // of calls of callback_url that it waits for; nil when it waits for none
	Reads     Reads
	IsRead    bool // an expression reads this node's output
	Sensitive bool
	Flow
	Attempt
}

// Flow says whether a node runs, how often, and what its failure means.
type Flow struct {
	Condition           *expression.Expression // nil: true
	ForEach             *expression.Expression // nil: one step
	ContinueOnError     bool                   // on_error: continue
	ContinueOnItemError bool                   // on_item_error: continue
}

// Attempt says how the node is tried, and what becomes of its result.
type Attempt struct {
	Credential *expression.Value // nil: none
	Params     []Param           // ordered by name
	Output     *expression.Value // nil: the raw output
	Retry      RetryPolicy
	Timeout    time.Duration // of one attempt; 0 is none
	AtMostOnce bool
}

// defaultTimeout bounds the running time of a run that states no timeout.
const defaultTimeout = 24 * time.Hour

// Codes of problems that only compilation finds; the others are those of package workflows.
const (
	codeUnknownType  = "unknown_type"
	codeUnknownParam = "unknown_param"
	codeRequired     = "required"
	codeWrongType    = "wrong_type"
	codeInvalid      = "invalid_value"
	CodeExpression   = "expression"
	codeUnknownNode  = "unknown_node"
	codeNotAncestor  = "not_ancestor"
	codeNoCredential = "no_credential"
	codeCycle        = "cycle"
)

// triggerWebhook is the type of the trigger whose caller may wait for the run.
const triggerWebhook = "webhook"

// AnswerAwaited reports whether a caller waits for what the run says: a respond node of any other
// run has no effect.
func (p *Plan) AnswerAwaited(run *runs.Run) bool {
	if !p.responds || run.Trigger.Type != triggerWebhook || run.RetryOf != nil {
		return false
	}
	return p.Definition.Triggers[run.Trigger.ID].Respond == workflows.RespondOnFinish
}

// Concurrency is the compiled "concurrency" of a definition.
type Concurrency struct {
	Limit   int
	Key     *expression.Value // nil: all runs count together
	Reads   Reads
	OnLimit string
}

// Reads is what the expressions of a node look at; nothing else is decoded for them.
type Reads struct {
	Any     bool // any of runNames
	Run     bool
	Trigger bool
	Input   bool
	Item    bool // any of itemNames
	Nodes   []int
	Sealed  []int // sensitive ones whose output is read as it is
}
