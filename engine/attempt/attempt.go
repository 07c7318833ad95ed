// Package attempt makes one attempt of one step: it evaluates what the node reads, lends the node
// what it needs, and turns its result into an outcome. Outcomes are data; nothing is stored here
// but the start of a step that runs at most once, and of a child that may be refused.
//
// It must not know what follows from an outcome, nor other steps of the run.
package attempt

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"keyflow/credentials"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/engine/values"
	"keyflow/nodes"
)

// Input is what an attempt is about.
type Input struct {
	Run        *runs.Run
	Plan       *plan.Plan
	Node       *plan.Node
	Key        state.StepKey
	Number     int                  // from 1
	Fresh      bool                 // `if` and for_each have not been evaluated
	Ready      time.Time            // now() of the node
	ReadyToTry time.Time            // when the attempt could have begun: it may have had to wait
	ConnectEnd time.Time            // until when the step waits for its credential; zero when it does not
	External   *runs.ExternalResult // nil: nothing was delivered to the step
}

// data is what the expressions of an attempt read.
type data struct {
	reading   values.Reading
	rested    bool       // large payloads were let go of: variables reads again
	rereading sync.Mutex // guards reading when rested
	item      any        // of a for_each
	itemKey   any
	sealed    map[int]any // sealed outputs that a parameter reads, by node: []byte, or a list of them
}

// Attempt is one attempt of one step, and what the process lends to its node.
type Attempt struct {
	Input
	data
	process *Process
	host    Host
	name    string // node/index, node alone without for_each

	ctx        context.Context // of the attempt, set before the node runs
	clock      *clock          // of its timeout; nil without
	credential credentials.ID
	Reserved   runs.ID // the run that the step starts and for which the queue keeps a place
	sent       disclosed

	mu    sync.Mutex // a node may send requests concurrently
	calls []credentials.Call
}

// New returns an attempt whose expressions read from scope, which its caller guards. The
// error says what they cannot read; the attempt is not made then.
func New(p *Process, h Host, in Input, scope *values.Scope) (*Attempt, error) {
	s := &Attempt{Input: in, process: p, host: h, name: string(in.Node.ID)}
	var err error
	if s.reading, err = scope.Vars(&in.Node.Reads); err != nil {
		return nil, err
	}
	s.sealed = scope.SealedOutputs(in.Node.Reads.Sealed)
	if in.Key.Index != runs.NoIndex {
		s.name += "/" + strconv.Itoa(in.Key.Index)
		if in.Node.Reads.Item {
			s.item, s.itemKey = scope.Elements(in.Key.Node).At(in.Key.Index)
			s.addItem(s.reading.Vars)
		}
	}
	return s, nil
}

var _ nodes.Env = (*Attempt)(nil)

// addItem adds the element that the step is for.
func (s *Attempt) addItem(vars map[string]any) {
	if vars != nil && s.Key.Index != runs.NoIndex && s.Node.Reads.Item {
		vars["item"], vars["key"], vars["index"] = s.item, s.itemKey, s.Key.Index
	}
}

// Log implements nodes.Env.
func (s *Attempt) Log() *slog.Logger {
	return s.process.Logger.With("run", s.Run.ID.String(), "workflow", string(s.Run.Workflow), "node", s.name)
}
