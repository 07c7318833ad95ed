package record

import (
	"encoding/json"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

// Encoded is an entry as rows, before anything is read from the database.
type Encoded struct {
	Err        error // why the entry is refused
	Starts     []Encoded
	StepChecks []StepCheck // for the signals that name a step
	Run        *RunRow
	Output     []byte
	Failure    []byte
	Steps      []StepRow
	Blobs      []BlobRow
	Answer     []byte // nil for none
	Dedupe     *DedupeRow
}

// Encode turns an entry into rows. An entry that cannot be stored has its fault in Err.
func (c *Codec) Encode(e *runs.Entry) Encoded {
	var out Encoded
	switch {
	case e.Create != nil:
		out.Err = c.encodeCreate(e.Create, &out)
	case e.Progress != nil:
		out.Err = c.encodeProgress(e.Progress, &out)
	case e.Signal != nil:
		out.Err = encodeSignal(e.Signal, &out)
	case e.Admit != nil:
	case e.Claim != nil:
		if e.Claim.Owner == (runs.OwnerID{}) {
			out.Err = fault.New(fault.Invalid, "a claim needs an owner")
		}
	default:
		out.Err = fault.New(fault.Invalid, "the entry is empty")
	}
	return out
}

// cause is the JSON of runs.cause.
type cause struct {
	Request json.RawMessage `json:"q,omitempty"`
	Event   json.RawMessage `json:"e,omitempty"`
	Parent  *runs.StepRef   `json:"p,omitempty"`
	Groups  [][]byte        `json:"g,omitempty"`
	Above   [][]byte        `json:"a,omitempty"`
}

// groupBytes turns groups into their form in JSON; groupsOf is the inverse.
func groupBytes(groups []runs.GroupID) [][]byte {
	var out [][]byte
	for i := range groups {
		out = append(out, groups[i][:])
	}
	return out
}

func groupsOf(values [][]byte) []runs.GroupID {
	var out []runs.GroupID
	for _, v := range values {
		var id runs.GroupID
		copy(id[:], v)
		out = append(out, id)
	}
	return out
}

func (c *Codec) encodeCreate(n *runs.NewRun, out *Encoded) error {
	r := &n.Run
	if err := checkCreate(n); err != nil {
		return err
	}
	if n.Dedupe != nil {
		out.Dedupe = &DedupeRow{
			Hash: dedupeHash(r.Workflow, n.Dedupe), Run: r.ID,
			InputHash: inputHash(n.Dedupe.InputHash), Expires: Micros(&n.Dedupe.ExpiresAt),
		}
	}
	row := &RunRow{
		Origin:  Origin{r.Workflow, r.Folder, r.Trigger.ID, r.Trigger.Type},
		Version: r.Version, Created: Micros(&r.CreatedAt), Fired: Micros(&r.Trigger.FiredAt),
		Scheduled: Micros(r.Trigger.ScheduledAt), Depth: r.Depth,
	}
	if row.Fired == row.Created {
		row.Fired = 0
	}
	if r.RetryOf != nil {
		row.RetryOf = r.RetryOf[:]
	}
	var err error
	if row.Input, err = c.pack(r.ID, "the run's input", r.Input, &out.Blobs); err != nil {
		return err
	}
	if len(r.Trigger.Request) > 0 || len(r.Trigger.Event) > 0 || r.Parent != nil || len(r.Groups)+len(r.Above) > 0 {
		why := cause{r.Trigger.Request, r.Trigger.Event, r.Parent, groupBytes(r.Groups), groupBytes(r.Above)}
		if row.Cause, err = c.packJSON(r.ID, "the trigger's request or event", why, &out.Blobs); err != nil {
			return err
		}
	}
	out.Run = row
	if err := c.encodeSteps(r.ID, n.Steps, out); err != nil {
		return err
	}
	return c.encodeEnd(r.ID, r.Output, r.Error, out)
}

func (c *Codec) encodeSteps(run runs.ID, steps []runs.Step, out *Encoded) error {
	out.Steps = make([]StepRow, 0, len(steps))
	for i := range steps {
		row, err := c.encodeStep(run, &steps[i], &out.Blobs)
		if err != nil {
			return err
		}
		out.Steps = append(out.Steps, row)
	}
	return nil
}

// encodeEnd encodes the output and the error of a run.
func (c *Codec) encodeEnd(run runs.ID, output []byte, failure *runs.RunError, out *Encoded) (err error) {
	if out.Output, err = c.pack(run, "the run's output", output, &out.Blobs); err != nil {
		return err
	}
	if failure != nil {
		out.Failure, err = c.packJSON(run, "the run's error", failure, &out.Blobs)
	}
	return err
}

func (c *Codec) encodeProgress(p *runs.Progress, out *Encoded) error {
	if err := checkProgress(p); err != nil {
		return err
	}
	if err := checkEvents(p.Events); err != nil {
		return err
	}
	for i := range p.Signals {
		if err := encodeSignal(&p.Signals[i], out); err != nil {
			return err
		}
	}
	out.Starts = make([]Encoded, len(p.Starts))
	for i := range p.Starts {
		if err := c.encodeCreate(&p.Starts[i], &out.Starts[i]); err != nil {
			return err
		}
	}
	if err := c.encodeAnswer(p, out); err != nil {
		return err
	}
	if err := c.encodeSteps(p.Run, p.Steps, out); err != nil || p.Set == nil {
		return err
	}
	return c.encodeEnd(p.Run, p.Set.Output, p.Set.Error, out)
}

func encodeSignal(s *runs.Signal, out *Encoded) error {
	if s.Step != nil {
		out.StepChecks = append(out.StepChecks, StepCheck{Key: StepKey{s.Run, s.Step.Node, s.Step.Index}})
	}
	return checkSignal(s)
}

func (c *Codec) encodeStep(run runs.ID, s *runs.Step, blobs *[]BlobRow) (StepRow, error) {
	row := StepRow{
		Key: StepKey{run, s.Node, s.Index}, Status: StepNumber(s.Status),
		Started: Micros(s.StartedAt), Finished: Micros(s.FinishedAt), Due: Micros(s.DueAt), Hold: string(s.NeedsConnect),
	}
	if row.Status == 0 {
		return row, fault.New(fault.Invalid, "step %q has the unknown status %q", s.Node, s.Status)
	}
	if err := checkText("node id", string(s.Node)); err != nil {
		return row, err
	}
	if err := checkText("credential id", row.Hold); err != nil {
		return row, err
	}
	var err error
	if row.Output, err = c.pack(run, "the output of step "+string(s.Node), s.Output, blobs); err != nil {
		return row, err
	}
	if row.Sealed, err = c.pack(run, "the sealed output of step "+string(s.Node), s.Sealed, blobs); err != nil {
		return row, err
	}
	if s.Error != nil {
		if row.Failure, err = c.packJSON(run, "the error of step "+string(s.Node), s.Error, blobs); err != nil {
			return row, err
		}
	}
	row.Credential = usedBy(s)
	if d := detailOf(s, row.Credential); d != nil {
		row.Detail, err = c.packJSON(run, "the attempts of step "+string(s.Node), d, blobs)
	}
	return row, err
}

func (c *Codec) encodeAnswer(p *runs.Progress, out *Encoded) (err error) {
	if p.Answer != nil {
		out.Answer, err = c.packJSON(p.Run, "the answer of the run", p.Answer, &out.Blobs)
	}
	return err
}
