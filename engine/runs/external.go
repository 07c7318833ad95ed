package runs

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"keyflow/internal/jsonvalue"
	"keyflow/workflows"
)

// ExternalResult is what somebody outside gave a step: a call of its URL, a person's decision, the
// end of the run that it started, or that nobody came in time. It is the data of a SignalStep
// and then of a pending step, until the step's own result is stored.
type ExternalResult struct {
	Node   workflows.NodeID `json:"node"`
	Index  int              `json:"index"`
	Output json.RawMessage  `json:"output,omitempty"` // the raw output
	Error  *StepError       `json:"error,omitempty"`
	Late   bool             `json:"late,omitempty"` // nobody came: the node says what that means
}

// Signal makes the signal that delivers the result to a run. All that could end one wait have one
// id, so that exactly one of them does.
func (x *ExternalResult) Signal(run ID) (*Signal, error) {
	data, err := jsonvalue.Encode(x)
	if err != nil {
		return nil, fmt.Errorf("encode the external result of a step: %w", err)
	}
	id := uuid.NewSHA1(uuid.UUID(run), fmt.Appendf(nil, "step/%s/%d", x.Node, x.Index))
	return &Signal{Run: run, Kind: SignalStep, Data: data, ID: id, Step: &StepRef{Run: run, Node: x.Node, Index: x.Index}}, nil
}
