package record

import "keyflow/engine/runs"

// StoredRun is a row of runs joined with its origin. NULL times are 0.
type StoredRun struct {
	ID, Owner, RetryOf []byte
	Origin             StoredOrigin `gorm:"embedded"`
	Version, Depth     int
	Status             int16
	Fence              int64
	CancelRequested    int16
	Times              StoredTimes    `gorm:"embedded"`
	Payloads           StoredPayloads `gorm:"embedded"`
}

// StoredOrigin holds the columns of origins.
type StoredOrigin struct {
	Workflow, Folder, TriggerID, TriggerType string
}

// StoredTimes holds the times of a run.
type StoredTimes struct {
	MadeAt, FiredAt, ScheduledAt, StartedAt, FinishedAt, DueAt int64
}

// StoredPayloads holds the packed values of a run.
type StoredPayloads struct {
	Failure, Cause, Input, Output []byte
}

// HasBlobs reports whether one of the values is stored in blobs.
func (p *StoredPayloads) HasBlobs() bool {
	return IsBlob(p.Failure) || IsBlob(p.Cause) || IsBlob(p.Input) || IsBlob(p.Output)
}

// StoredStep is a row of steps joined with the names of its node and credential. NULL times are 0.
type StoredStep struct {
	Run                          []byte
	Node, Credential             string
	Idx                          int
	Status                       int16
	StartedAt, FinishedAt, DueAt int64
	Failure, Detail, Output      []byte
	Hold                         string
	Sealed                       []byte
}

// Payloads returns the packed values of the step.
func (r *StoredStep) Payloads() [][]byte { return [][]byte{r.Failure, r.Detail, r.Output, r.Sealed} }

// StoredBlob is a row of blobs.
type StoredBlob struct {
	Run, Hash, Data []byte
}

// BlobSet holds blobs by run and hash.
type BlobSet map[runs.ID]map[[16]byte][]byte
