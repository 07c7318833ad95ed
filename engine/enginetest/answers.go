package enginetest

import (
	"net/http"
	"strings"

	"keyflow/engine/runs"
)

// answers: only the first answer of a run is stored, unchanged, and it is deleted with the run.
func (s *suite) answers() {
	silent, r := s.owned(1), s.owned(1)
	first := runs.Answer{Status: 201, Header: http.Header{"X-A": {"1", "2"}}, Body: []byte("\x00\xff" + strings.Repeat("long ", 20<<10))}
	answer := func(a runs.Answer) runs.Entry {
		e := progress(r, nil)
		e.Progress.Answer = &a
		return e
	}
	s.commit(create(silent), create(r), answer(first), answer(runs.Answer{Status: 500}))
	s.commit(answer(runs.Answer{Status: 404}))
	for _, store := range []runs.Store{s.Store, s.Other} {
		if store == nil {
			continue
		}
		got, err := store.Answer(s.ctx, r.ID)
		if err != nil {
			s.Fatal(err)
		}
		s.equal("answer", got, &first)
	}
	if none, err := s.Store.Answer(s.ctx, silent.ID); err != nil || none != nil {
		s.Errorf("a run without an answer: %v, %v", none, err)
	}
	late := answer(runs.Answer{Status: 200})
	late.Progress.Run, late.Progress.Fence = silent.ID, 7
	if err := s.try(late)[0].Err; err == nil {
		s.Error("an answer of a process that has lost the run was stored")
	}
	if none, err := s.Store.Answer(s.ctx, silent.ID); err != nil || none != nil {
		s.Errorf("the refused answer is stored: %v, %v", none, err)
	}
	s.commit(progress(r, &runs.Change{Status: runs.Failed}))
	if err := s.Store.Delete(s.ctx, r.ID); err != nil {
		s.Fatal(err)
	}
	if gone, err := s.Store.Answer(s.ctx, r.ID); err != nil || gone != nil {
		s.Errorf("answer of a deleted run: %v, %v", gone, err)
	}
}
