package sqlstore

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

// encoded is an entry turned into column values, before the database is asked anything.
type encoded struct {
	err     error // refuses the entry
	starts  []encoded
	asks    []stepAsk // of signals for steps
	run     *newRunRow
	output  []byte
	failure []byte
	steps   []stepRow
	blobs   []blobRow
	answer  []byte // nil for none
	key     *dedupeRow
}

// encode never fails: what is wrong with the entry is in its err, a fault.
func (c *codec) encode(e *runs.Entry) encoded {
	var out encoded
	switch {
	case e.Create != nil:
		out.err = c.encodeCreate(e.Create, &out)
	case e.Progress != nil:
		out.err = c.encodeProgress(e.Progress, &out)
	case e.Signal != nil:
		out.err = encodeSignal(e.Signal, &out)
	case e.Admit != nil:
	case e.Claim != nil:
		if e.Claim.Owner == (runs.OwnerID{}) {
			out.err = fault.New(fault.Invalid, "a claim needs an owner")
		}
	default:
		out.err = fault.New(fault.Invalid, "the entry is empty")
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

// groupBytes and groupsOf turn groups into what the JSON holds, and back.
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

func (c *codec) encodeCreate(n *runs.NewRun, out *encoded) error {
	r := &n.Run
	if err := checkCreate(n); err != nil {
		return err
	}
	if n.Dedupe != nil {
		out.key = &dedupeRow{
			hash: dedupeHash(r.Workflow, n.Dedupe), run: r.ID,
			input: inputHash(n.Dedupe.InputHash), expires: micros(&n.Dedupe.ExpiresAt),
		}
	}
	row := &newRunRow{
		originKey: originKey{r.Workflow, r.Folder, r.Trigger.ID, r.Trigger.Type},
		version:   r.Version, created: micros(&r.CreatedAt), fired: micros(&r.Trigger.FiredAt),
		scheduled: micros(r.Trigger.ScheduledAt), depth: r.Depth,
	}
	if row.fired == row.created {
		row.fired = 0
	}
	if r.RetryOf != nil {
		row.retryOf = r.RetryOf[:]
	}
	var err error
	if row.input, err = c.pack(r.ID, "the run's input", r.Input, &out.blobs); err != nil {
		return err
	}
	if len(r.Trigger.Request) > 0 || len(r.Trigger.Event) > 0 || r.Parent != nil || len(r.Groups)+len(r.Above) > 0 {
		why := cause{r.Trigger.Request, r.Trigger.Event, r.Parent, groupBytes(r.Groups), groupBytes(r.Above)}
		if row.cause, err = c.packJSON(r.ID, "the trigger's request or event", why, &out.blobs); err != nil {
			return err
		}
	}
	out.run = row
	if err := c.encodeSteps(r.ID, n.Steps, out); err != nil {
		return err
	}
	return c.encodeEnd(r.ID, r.Output, r.Error, out)
}

func (c *codec) encodeSteps(run runs.ID, steps []runs.Step, out *encoded) error {
	out.steps = make([]stepRow, 0, len(steps))
	for i := range steps {
		row, err := c.encodeStep(run, &steps[i], &out.blobs)
		if err != nil {
			return err
		}
		out.steps = append(out.steps, row)
	}
	return nil
}

// encodeEnd encodes the output and the error of a run.
func (c *codec) encodeEnd(run runs.ID, output []byte, failure *runs.RunError, out *encoded) (err error) {
	if out.output, err = c.pack(run, "the run's output", output, &out.blobs); err != nil {
		return err
	}
	if failure != nil {
		out.failure, err = c.packJSON(run, "the run's error", failure, &out.blobs)
	}
	return err
}

func (c *codec) encodeProgress(p *runs.Progress, out *encoded) error {
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
	out.starts = make([]encoded, len(p.Starts))
	for i := range p.Starts {
		if err := c.encodeCreate(&p.Starts[i], &out.starts[i]); err != nil {
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

func encodeSignal(s *runs.Signal, out *encoded) error {
	if s.Step != nil {
		out.asks = append(out.asks, stepAsk{key: stepKey{s.Run, s.Step.Node, s.Step.Index}})
	}
	return checkSignal(s)
}

func (c *codec) encodeStep(run runs.ID, s *runs.Step, blobs *[]blobRow) (stepRow, error) {
	row := stepRow{
		key: stepKey{run, s.Node, s.Index}, status: stepNumber(s.Status),
		started: micros(s.StartedAt), finished: micros(s.FinishedAt), due: micros(s.DueAt), hold: string(s.NeedsConnect),
	}
	if row.status == 0 {
		return row, fault.New(fault.Invalid, "step %q has the unknown status %q", s.Node, s.Status)
	}
	if err := checkText("node id", string(s.Node)); err != nil {
		return row, err
	}
	if err := checkText("credential id", row.hold); err != nil {
		return row, err
	}
	var err error
	if row.output, err = c.pack(run, "the output of step "+string(s.Node), s.Output, blobs); err != nil {
		return row, err
	}
	if row.sealed, err = c.pack(run, "the sealed output of step "+string(s.Node), s.Sealed, blobs); err != nil {
		return row, err
	}
	if s.Error != nil {
		if row.failure, err = c.packJSON(run, "the error of step "+string(s.Node), s.Error, blobs); err != nil {
			return row, err
		}
	}
	row.used = usedBy(s)
	if d := detailOf(s, row.used); d != nil {
		row.detail, err = c.packJSON(run, "the attempts of step "+string(s.Node), d, blobs)
	}
	return row, err
}

func checkCreate(n *runs.NewRun) error {
	r := &n.Run
	for what, text := range map[string]string{
		"workflow id": string(r.Workflow), "folder": r.Folder, "trigger id": r.Trigger.ID, "trigger type": r.Trigger.Type,
	} {
		if err := checkText(what, text); err != nil {
			return err
		}
	}
	owned := r.Owner != runs.OwnerID{}
	switch {
	case r.ID == runs.ID{}:
		return fault.New(fault.Invalid, "a run needs an id")
	case runNumber(r.Status) == 0:
		return fault.New(fault.Invalid, "the run has the unknown status %q", r.Status)
	case owned != (r.Status == runs.Running):
		return fault.New(fault.Invalid, "a new run is running if and only if it has an owner")
	}
	return nil
}

func checkProgress(p *runs.Progress) error {
	switch {
	case p.Owner == runs.OwnerID{}:
		return fault.New(fault.Invalid, "progress needs an owner")
	case p.Set == nil:
		return nil
	case runNumber(p.Set.Status) == 0:
		return fault.New(fault.Invalid, "the run has the unknown status %q", p.Set.Status)
	case p.Set.Release && p.Set.Status == runs.Running:
		return fault.New(fault.Invalid, "a run cannot run without an owner")
	case !p.Set.Release && p.Set.Status == runs.Queued:
		return fault.New(fault.Invalid, "a queued run has no owner: release it")
	}
	return nil
}

func checkSignal(s *runs.Signal) error {
	if len(s.Data) > maxPayload {
		return fault.New(fault.TooLarge, "the signal's data is %d bytes long; at most %d can be stored", len(s.Data), maxPayload)
	}
	return checkText("signal kind", s.Kind)
}

const maxText = 1024

// checkText refuses what a text column of one of the databases would refuse.
func checkText(what, s string) error {
	switch {
	case len(s) > maxText:
		return fault.New(fault.Invalid, "the %s is %d bytes long; at most %d are possible", what, len(s), maxText)
	case !utf8.ValidString(s), strings.ContainsRune(s, 0):
		return fault.New(fault.Invalid, "the %s holds a NUL character or is not UTF-8", what)
	}
	return nil
}
