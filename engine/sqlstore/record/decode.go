package record

import (
	"errors"
	"fmt"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/workflows"
)

// Run turns a row into a run. With an error, the run has every part that can be read.
func (c *Codec) Run(row *StoredRun, blobs map[[16]byte][]byte) (runs.Run, error) {
	r := runs.Run{
		ID: runs.ID(row.ID), Workflow: workflows.ID(row.Origin.Workflow), Version: row.Version, Folder: row.Origin.Folder,
		Status:    RunStatus(row.Status),
		CreatedAt: Time(row.Times.MadeAt), StartedAt: OptionalTime(row.Times.StartedAt), FinishedAt: OptionalTime(row.Times.FinishedAt),
		Depth: row.Depth, Fence: row.Fence, CancelRequested: row.CancelRequested != 0,
		Trigger: runs.TriggerRef{ID: row.Origin.TriggerID, Type: row.Origin.TriggerType, ScheduledAt: OptionalTime(row.Times.ScheduledAt)},
	}
	r.Trigger.FiredAt = r.CreatedAt
	if row.Times.FiredAt != 0 {
		r.Trigger.FiredAt = Time(row.Times.FiredAt)
	}
	copy(r.Owner[:], row.Owner)
	if row.RetryOf != nil {
		of := runs.ID(row.RetryOf)
		r.RetryOf = &of
	}
	if r.Status == runs.Waiting {
		r.WakeAt = OptionalTime(row.Times.DueAt)
	}
	r.WaitsForSlot = r.Status == runs.Queued && row.Times.DueAt == 0
	var why cause
	err := damage("cause", c.UnpackJSON(row.Payloads.Cause, blobs, &why))
	r.Trigger.Request, r.Trigger.Event, r.Parent = why.Request, why.Event, why.Parent
	r.Groups, r.Above = groupsOf(why.Groups), groupsOf(why.Above)
	var inputErr, outputErr error
	r.Input, inputErr = c.unpack(row.Payloads.Input, blobs)
	r.Output, outputErr = c.unpack(row.Payloads.Output, blobs)
	failureErr := c.UnpackJSON(row.Payloads.Failure, blobs, &r.Error)
	return r, errors.Join(err, damage("input", inputErr), damage("output", outputErr), damage("error", failureErr))
}

// Step turns a row into a step. With an error, the step has every part that can be read.
func (c *Codec) Step(row *StoredStep, blobs map[[16]byte][]byte) (runs.Step, error) {
	s := runs.Step{
		Node: workflows.NodeID(row.Node), Index: row.Idx, Status: StepStatus(row.Status),
		StartedAt: OptionalTime(row.StartedAt), FinishedAt: OptionalTime(row.FinishedAt), DueAt: OptionalTime(row.DueAt),
		NeedsConnect: credentials.ID(row.Hold),
	}
	var outputErr, sealedErr error
	s.Output, outputErr = c.unpack(row.Output, blobs)
	s.Sealed, sealedErr = c.unpack(row.Sealed, blobs)
	failureErr := c.UnpackJSON(row.Failure, blobs, &s.Error)
	var detail detailRow
	detailErr := c.UnpackJSON(row.Detail, blobs, &detail)
	if detailErr == nil {
		detail.restore(&s, credentials.ID(row.Credential))
	}
	return s, errors.Join(damage("output", outputErr), damage("sealed output", sealedErr), damage("error", failureErr), damage("detail", detailErr))
}

// damage names the part of a run or step that cannot be read.
func damage(part string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", part, err)
}
