package enginetest

import (
	"time"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

func (s *suite) key(key string) runs.DedupeKey {
	return runs.DedupeKey{Kind: "webhook", Trigger: "in", Key: key, ExpiresAt: s.now.Add(time.Hour)}
}

func (s *suite) dedupe() {
	first := s.queued()
	s.equal("first", s.commit(createOnce(first, s.key("k")))[0], runs.Outcome{Run: first.ID})
	s.equal("second", s.commit(createOnce(s.queued(), s.key("k")))[0], runs.Outcome{Run: first.ID, Duplicate: true})
	s.equal("first again, its answer lost", s.commit(createOnce(first, s.key("k")))[0], runs.Outcome{Run: first.ID})

	// Each part is its own namespace, and the same characters divided in another way differ.
	apart := map[string]func(*runs.Run, *runs.DedupeKey){
		"another key":      func(_ *runs.Run, k *runs.DedupeKey) { k.Key = "other" },
		"another kind":     func(_ *runs.Run, k *runs.DedupeKey) { k.Kind = "event" },
		"another trigger":  func(_ *runs.Run, k *runs.DedupeKey) { k.Trigger = "in2" },
		"another workflow": func(r *runs.Run, _ *runs.DedupeKey) { r.Workflow = "other" },
		"another border":   func(_ *runs.Run, k *runs.DedupeKey) { k.Trigger, k.Key = "ink", "" },
	}
	for name, change := range apart {
		r, k := s.queued(), s.key("k")
		change(&r, &k)
		s.equal(name, s.commit(createOnce(r, k))[0], runs.Outcome{Run: r.ID})
	}

	withInput := s.key("manual")
	withInput.InputHash = "hash of {}"
	r := s.queued()
	s.commit(createOnce(r, withInput))
	s.equal("same input", s.commit(createOnce(s.queued(), withInput))[0], runs.Outcome{Run: r.ID, Duplicate: true})
	withInput.InputHash = "hash of {a:1}"
	s.refused(createOnce(s.queued(), withInput), fault.Conflict, "the idempotency key was used before, with another input")
}

func (s *suite) dedupeWithinOneBatch() {
	a, b, other := s.queued(), s.queued(), s.queued()
	out := s.commit(createOnce(a, s.key("k")), createOnce(b, s.key("k")), createOnce(other, s.key("other")))
	s.equal("outcomes", out, []runs.Outcome{{Run: a.ID}, {Run: a.ID, Duplicate: true}, {Run: other.ID}})
	if _, err := s.Store.Run(s.ctx, b.ID); !fault.Is(err, fault.NotFound) {
		s.Errorf("the duplicate was stored: %v", err)
	}
}

func (s *suite) dedupeKeysExpire() {
	first, second := s.queued(), s.queued()
	s.commit(createOnce(first, s.key("k")))
	s.now = s.now.Add(time.Hour - time.Microsecond)
	s.equal("just before", s.commit(createOnce(s.queued(), s.key("k")))[0], runs.Outcome{Run: first.ID, Duplicate: true})
	s.now = s.now.Add(time.Microsecond)
	s.equal("just after", s.commit(createOnce(second, s.key("k")))[0], runs.Outcome{Run: second.ID})
	s.equal("the key is taken again", s.commit(createOnce(s.queued(), s.key("k")))[0], runs.Outcome{Run: second.ID, Duplicate: true})
}

func (s *suite) skippedOccurrences() {
	s.createAll(1, slot(1, 1, workflows.OnLimitSkip))
	k := s.key("14:00")
	_, skip := s.needing(slot(1, 1, workflows.OnLimitSkip))
	skip.Create.Dedupe, skip.Create.RecordSkip = &k, true
	s.equal("skip", s.commit(skip)[0], runs.Outcome{Skipped: true})
	s.equal("skip again", s.commit(skip)[0], runs.Outcome{Duplicate: true, Skipped: true})
	s.equal("run after skip", s.commit(createOnce(s.queued(), k))[0], runs.Outcome{Duplicate: true, Skipped: true})

	k2, r := s.key("15:00"), s.queued()
	s.commit(createOnce(r, k2))
	skip.Create.Dedupe = &k2
	s.equal("skip after run", s.commit(skip)[0], runs.Outcome{Run: r.ID, Duplicate: true})
}
