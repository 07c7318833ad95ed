package runs

import (
	"errors"
	"fmt"

	"keyflow/internal/fault"
)

// codeInternal is the error code of what no workflow is to blame for.
const codeInternal = "internal"

// ErrDamaged is in the chain of every error about stored data that cannot be read. Another try
// does not change that.
var ErrDamaged = errors.New("stored data is damaged")

// Damaged is the error of a store that cannot read part of a run.
func Damaged(id ID, cause error) error {
	return fault.New(fault.Conflict, "the stored data of run %s is damaged: restore the database from a backup, or delete the run", id).
		Because(fmt.Errorf("%w: %w", ErrDamaged, cause))
}

// DamagedStep is the error of a step of which the store cannot read everything.
func DamagedStep() *StepError {
	return &StepError{Code: codeInternal, Message: "the stored data of this step is damaged: restore the database from a backup"}
}

// DamagedRun is the error of a listed run of which the store cannot read everything.
func DamagedRun() *RunError {
	return &RunError{Code: codeInternal, Message: "the stored data of this run is damaged: restore the database from a backup, or delete the run"}
}
