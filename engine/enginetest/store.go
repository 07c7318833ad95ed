// Package enginetest is the conformance suite of runs.Store and runs.Owners: what every database
// must do.
package enginetest

import (
	"context"
	"testing"
)

// TestStore runs the suite; open gives each test a database of its own.
func TestStore(t *testing.T, open func(t *testing.T) Stores) {
	t.Helper()
	tests := map[string]func(*suite){
		"create and read back":                     (*suite).createAndReadBack,
		"create is idempotent":                     (*suite).createIsIdempotent,
		"dedupe":                                   (*suite).dedupe,
		"dedupe within one batch":                  (*suite).dedupeWithinOneBatch,
		"dedupe keys expire":                       (*suite).dedupeKeysExpire,
		"skipped occurrences":                      (*suite).skippedOccurrences,
		"claim":                                    (*suite).claim,
		"claims race":                              (*suite).claimsRace,
		"claim written again":                      (*suite).claimWrittenAgain,
		"takeover fences the old owner":            (*suite).takeover,
		"takeover from an owner with a newer beat": (*suite).takeoverAfterNewBeat,
		"create written again after a takeover":    (*suite).createWrittenAgainAfterTakeover,
		"steps are replaced":                       (*suite).stepsAreReplaced,
		"final state ends ownership":               (*suite).finalStateEndsOwnership,
		"progress written again":                   (*suite).progressWrittenAgain,
		"hand back":                                (*suite).handBack,
		"park and wake":                            (*suite).parkAndWake,
		"park is refused while signals are unread": (*suite).parkWithSignals,
		"signals":                                  (*suite).signals,
		"signals written again":                    (*suite).signalsWrittenAgain,
		"signals to runs that have ended":          (*suite).signalsToEnded,
		"due order":                                (*suite).dueOrder,
		"due runs of each origin":                  (*suite).dueOfEach,
		"steps that wait for a credential":         (*suite).credentialWaits,
		"slots: queue":                             (*suite).slotsQueue,
		"slots: one batch":                         (*suite).slotsInOneBatch,
		"slots: skip":                              (*suite).slotsSkip,
		"slots: full queue":                        (*suite).slotsFullQueue,
		"slots: cancel waiting":                    (*suite).slotsCancelWaiting,
		"slots: cancel the oldest":                 (*suite).slotsCancelOldest,
		"slots: cancel none for a free slot":       (*suite).slotsCancelNone,
		"slots: of trigger and workflow":           (*suite).slotsOfTriggerAndWorkflow,
		"slots: leaked":                            (*suite).slotsLeaked,
		"slots: race":                              (*suite).slotsRace,
		"list":                                     (*suite).list,
		"list pages":                               (*suite).listPages,
		"steps in pages":                           (*suite).stepPages,
		"large values":                             (*suite).largeValues,
		"awkward bytes":                            (*suite).awkwardBytes,
		"one bad entry among two hundred":          (*suite).oneBadEntry,
		"entries of one run in one batch":          (*suite).oneRunOneBatch,
		"delete":                                   (*suite).deleteRun,
		"answers":                                  (*suite).answers,
		"no entries":                               (*suite).noEntries,
		"owners":                                   (*suite).owners,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(&suite{T: t, Stores: open(t), ctx: context.Background(), now: epoch})
		})
	}
}
