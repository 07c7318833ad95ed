package record

import "keyflow/engine/runs"

// The numbers of statuses in the database; the partial indexes of migration 00003 name them.
const (
	RunQueued = 1 + iota
	RunRunning
	RunWaiting
	RunSucceeded
	RunFailed
	RunCanceled
)

// runStatuses and stepStatuses give the status of each number; 0 is none.
var (
	runStatuses = [...]runs.Status{
		RunQueued: runs.Queued, RunRunning: runs.Running, RunWaiting: runs.Waiting,
		RunSucceeded: runs.Succeeded, RunFailed: runs.Failed, RunCanceled: runs.Canceled,
	}
	stepStatuses = [...]runs.StepStatus{
		1: runs.StepPending, 2: runs.StepRunning, 3: runs.StepWaiting,
		4: runs.StepSucceeded, 5: runs.StepFailed, 6: runs.StepSkipped, 7: runs.StepCanceled,
	}
)

// RunNumber returns the number of a status of runs, 0 for an unknown one.
func RunNumber(s runs.Status) int16 { return number(runStatuses[:], s) }

// StepNumber returns the number of a status of steps, 0 for an unknown one.
func StepNumber(s runs.StepStatus) int16 { return number(stepStatuses[:], s) }

// RunStatus returns the status of a number, "" for one that no release has written.
func RunStatus(n int16) runs.Status { return status(runStatuses[:], n) }

// StepStatus returns the status of a number, "" for one that no release has written.
func StepStatus(n int16) runs.StepStatus { return status(stepStatuses[:], n) }

func number[S ~string](table []S, s S) int16 {
	for i := 1; i < len(table); i++ {
		if table[i] == s {
			return int16(i)
		}
	}
	return 0
}

func status[S ~string](table []S, n int16) S {
	if n < 1 || int(n) >= len(table) {
		return ""
	}
	return table[n]
}
