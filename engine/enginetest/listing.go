package enginetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

func (s *suite) find(f runs.Filter) []runs.ID {
	s.Helper()
	found, err := s.Store.Runs(s.ctx, f)
	if err != nil {
		s.Fatal(err)
	}
	ids := []runs.ID{}
	for _, r := range found {
		ids = append(ids, r.ID)
	}
	return ids
}

func (s *suite) list() {
	a := s.owned(1)
	a.Input = json.RawMessage(`{"secret":1}`)
	a.Trigger.Request = json.RawMessage(`{"body":1}`)
	s.now = s.now.Add(time.Minute)
	b := s.queued()
	b.Workflow, b.Folder = "report", "/partners/acme-2"
	s.now = s.now.Add(time.Minute)
	c := s.owned(1)
	c.Folder, c.Trigger.ID = "/partners/acme/eu", "in"
	d := s.owned(1)
	d.Folder = "/internal"
	failed := &runs.Change{Status: runs.Failed, Error: &runs.RunError{Code: "timeout", Message: "slow"}, FinishedAt: s.at(0)}
	s.commit(create(a), create(b), create(c), create(d),
		progress(c, failed), progress(d, &runs.Change{Status: runs.Succeeded, Output: json.RawMessage(`1`)}))

	for name, tt := range map[string]struct {
		filter runs.Filter
		want   []runs.ID
	}{
		"all":                     {runs.Filter{}, []runs.ID{d.ID, c.ID, b.ID, a.ID}},
		"workflow":                {runs.Filter{Workflow: "sync"}, []runs.ID{d.ID, c.ID, a.ID}},
		"folder and below":        {runs.Filter{Folder: "/partners/acme"}, []runs.ID{c.ID, a.ID}},
		"folder with slash":       {runs.Filter{Folder: "/partners/"}, []runs.ID{c.ID, b.ID, a.ID}},
		"root folder":             {runs.Filter{Folder: "/"}, []runs.ID{d.ID, c.ID, b.ID, a.ID}},
		"trigger":                 {runs.Filter{Trigger: "in"}, []runs.ID{c.ID}},
		"running":                 {runs.Filter{Status: runs.Running}, []runs.ID{a.ID}},
		"queued":                  {runs.Filter{Status: runs.Queued}, []runs.ID{b.ID}},
		"succeeded":               {runs.Filter{Status: runs.Succeeded}, []runs.ID{d.ID}},
		"failed":                  {runs.Filter{Status: runs.Failed}, []runs.ID{c.ID}},
		"failed of workflow":      {runs.Filter{Status: runs.Failed, Workflow: "report"}, []runs.ID{}},
		"since":                   {runs.Filter{Since: b.CreatedAt}, []runs.ID{d.ID, c.ID, b.ID}},
		"since, a microsecond on": {runs.Filter{Since: b.CreatedAt.Add(time.Microsecond)}, []runs.ID{d.ID, c.ID}},
		"until":                   {runs.Filter{Until: b.CreatedAt}, []runs.ID{a.ID}},
		"before":                  {runs.Filter{Before: c.ID}, []runs.ID{b.ID, a.ID}},
		"all at once": {runs.Filter{
			Workflow: "sync", Folder: "/partners", Trigger: "hourly", Status: runs.Running,
			Since: a.CreatedAt, Until: b.CreatedAt, Before: c.ID, Limit: 1,
		}, []runs.ID{a.ID}},
		"nothing": {runs.Filter{Workflow: "none"}, []runs.ID{}},
	} {
		s.equal(name, s.find(tt.filter), tt.want)
	}

	found, err := s.Store.Runs(s.ctx, runs.Filter{Folder: "/partners/acme"})
	if err != nil || len(found) != 2 {
		s.Fatalf("%d runs, %v", len(found), err)
	}
	s.equal("error of a failed run", found[0].Error, failed.Error)
	a.Input, a.Trigger.Request = nil, nil
	s.equal("a listed run has no payloads", found[1], a)

	for _, limit := range []int{-1, 501} {
		if _, err := s.Store.Runs(s.ctx, runs.Filter{Limit: limit}); fault.Message(err) != "limit must be between 1 and 500" {
			s.Errorf("limit %d: %v", limit, err)
		}
	}
	if _, err := s.Store.Runs(s.ctx, runs.Filter{Status: "done"}); fault.Message(err) != `unknown status "done"` {
		s.Errorf("unknown status: %v", err)
	}
}

// listPages reads pages over several origins and compares them with one sorted list.
func (s *suite) listPages() {
	var entries []runs.Entry
	var want []runs.ID
	for i := range 57 {
		r := s.queued()
		r.Folder = fmt.Sprintf("/f/%d", i%5)
		r.Trigger.ID = fmt.Sprintf("t%d", i%3)
		entries = append(entries, create(r))
		want = append([]runs.ID{r.ID}, want...)
	}
	s.commit(entries...)
	for _, f := range []runs.Filter{{}, {Folder: "/f"}, {Workflow: "sync", Status: runs.Queued}} {
		var got []runs.ID
		f.Limit = 10
		for {
			page := s.find(f)
			got = append(got, page...)
			if len(page) < f.Limit {
				break
			}
			f.Before = page[len(page)-1]
		}
		s.equal(fmt.Sprintf("pages of %+v", f), got, want)
	}
}

func (s *suite) largeValues() {
	random := make([]byte, 60<<10)
	source := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[source.IntN(36)]
	}
	for name, text := range map[string]string{
		"short": "x", "compressed": strings.Repeat("hello ", 200), "incompressible": string(random[:4000]),
		"just in a row": strings.Repeat("y", 32<<10-2), "in blobs": strings.Repeat("y", 32<<10-1), "large": string(random),
	} {
		value := json.RawMessage(`"` + text + `"`)
		r := s.queued()
		r.Input = value
		r.Trigger.Request = value
		s.commit(create(r))
		l := s.commit(claimBy(r.ID, 1))[0].Loaded
		s.equal(name+": loaded input", string(l.Run.Input), string(value))
		step := runs.Step{
			Node: "a", Index: runs.NoIndex, Status: runs.StepSucceeded, StartedAt: s.at(0), Output: value,
			Error: &runs.StepError{Code: "x", Message: "y", Response: value},
		}
		s.commit(progress(l.Run, &runs.Change{Status: runs.Succeeded, Output: value}, step))
		got := s.run(r.ID)
		s.equal(name+": input", string(got.Input), string(value))
		s.equal(name+": request", string(got.Trigger.Request), string(value))
		s.equal(name+": output", string(got.Output), string(value))
		steps, err := s.Store.Steps(s.ctx, r.ID)
		if err != nil {
			s.Fatal(err)
		}
		s.equal(name+": step", steps, []runs.Step{step})
		if _, err := s.Store.Runs(s.ctx, runs.Filter{}); err != nil {
			s.Errorf("%s: list: %v", name, err)
		}
	}
}

// awkwardBytes: payloads and texts that a text column or a tag byte could corrupt.
func (s *suite) awkwardBytes() {
	r := s.owned(1)
	s.commit(create(r))
	var steps []runs.Step
	for i, output := range []string{`"\u0000"`, "\"\x00\"", "\x00", "\x01\x02\x03", "\x02zstd?", "\xff\xfe", " 1", `"😀"`} {
		steps = append(steps, runs.Step{
			Node: "a", Index: i, Status: runs.StepFailed, StartedAt: s.at(0), Output: json.RawMessage(output),
			Error: &runs.StepError{Code: "script", Message: "nul \x00 and " + output[:1]},
		})
	}
	s.commit(progress(r, nil, steps...))
	got, err := s.Store.Steps(s.ctx, r.ID)
	if err != nil || len(got) != len(steps) {
		s.Fatalf("%d steps, %v", len(got), err)
	}
	for i := range steps {
		if !bytes.Equal(got[i].Output, steps[i].Output) {
			s.Errorf("output %q was read as %q", steps[i].Output, got[i].Output)
		}
	}
}

func (s *suite) oneBadEntry() {
	live := s.owned(1)
	s.commit(create(live))
	nul, long := s.queued(), s.queued()
	nul.Workflow = "a\x00b"
	long.Input = bytes.Repeat([]byte("1"), 16<<20+1)
	badTrigger := s.queued()
	badTrigger.Trigger.Request = json.RawMessage(`{`)
	badNode := runs.Step{Node: "\xff", Index: runs.NoIndex, Status: runs.StepRunning}
	unknown := s.id()
	for name, tt := range map[string]struct {
		bad     runs.Entry
		kind    fault.Kind
		message string
	}{
		"NUL in a text": {create(nul), fault.Invalid, "the workflow id holds a NUL character or is not UTF-8"},
		"oversized":     {create(long), fault.TooLarge, "the run's input is 16777217 bytes long; at most 16777216 can be stored"},
		"no JSON":       {create(badTrigger), fault.Invalid, "the trigger's request or event is not JSON"},
		"unknown run":   {signal(unknown, "x"), fault.NotFound, fmt.Sprintf("run %s does not exist", unknown)},
		"bad node id":   {progress(live, nil, badNode), fault.Invalid, "the node id holds a NUL character or is not UTF-8"},
		"bad step status": {
			progress(live, nil, runs.Step{Node: "a", Status: "done"}), fault.Invalid, `step "a" has the unknown status "done"`,
		},
		"no id":          {create(runs.Run{Workflow: "w", Status: runs.Queued}), fault.Invalid, "a run needs an id"},
		"owned, queued":  {create(runs.Run{ID: s.id(), Owner: owner(1), Status: runs.Queued}), fault.Invalid, "a new run is running if and only if it has an owner"},
		"empty":          {runs.Entry{}, fault.Invalid, "the entry is empty"},
		"long kind":      {signal(live.ID, strings.Repeat("k", 1025)), fault.Invalid, "the signal kind is 1025 bytes long; at most 1024 are possible"},
		"oversized data": {runs.Entry{Signal: &runs.Signal{Run: live.ID, ID: uuid.New(), Data: long.Input}}, fault.TooLarge, "the signal's data is 16777217 bytes long; at most 16777216 can be stored"},
	} {
		var entries []runs.Entry
		var good []runs.ID // newest first
		for i := range 200 {
			if i == 100 {
				entries = append(entries, tt.bad)
			}
			r := s.queued()
			good = append([]runs.ID{r.ID}, good...)
			entries = append(entries, create(r))
		}
		out := s.try(entries...)
		if err := out[100].Err; !fault.Is(err, tt.kind) || fault.Message(err) != tt.message {
			s.Errorf("%s: got %v fault %q, want %v fault %q", name, fault.KindOf(err), fault.Message(err), tt.kind, tt.message)
		}
		s.equal(name+": good entries", s.find(runs.Filter{Limit: 200}), good)
	}
}

func (s *suite) oneRunOneBatch() {
	r := s.owned(1)
	step := runs.Step{Node: "a", Index: runs.NoIndex, Status: runs.StepRunning, StartedAt: s.at(0)}
	done := step
	done.Status, done.Output = runs.StepSucceeded, json.RawMessage(`7`)
	s.commit(create(r), progress(r, nil, step), signal(r.ID, runs.SignalCancel), progress(r, nil, done),
		progress(r, &runs.Change{Status: runs.Canceled, FinishedAt: s.at(time.Second)}))
	steps, err := s.Store.Steps(s.ctx, r.ID)
	if err != nil {
		s.Fatal(err)
	}
	s.equal("steps", steps, []runs.Step{done})
	r.Status, r.Owner, r.FinishedAt, r.CancelRequested = runs.Canceled, runs.OwnerID{}, s.at(time.Second), true
	s.equal("run", s.run(r.ID), r)
}

func (s *suite) deleteRun() {
	r := s.owned(1)
	r.Input = bytes.Repeat([]byte("1"), 40<<10)
	k := s.key("k")
	s.commit(createOnce(r, k), signal(r.ID, "x"),
		progress(r, nil, runs.Step{Node: "a", Index: runs.NoIndex, Status: runs.StepSucceeded, StartedAt: s.at(0)}))
	if err := s.Store.Delete(s.ctx, r.ID); fault.Message(err) != fmt.Sprintf("run %s has not ended: cancel it first", r.ID) {
		s.Errorf("delete of a running run: %v", err)
	}
	s.commit(progress(r, &runs.Change{Status: runs.Succeeded}))
	if err := s.Store.Delete(s.ctx, r.ID); err != nil {
		s.Fatal(err)
	}
	gone := fmt.Sprintf("run %s does not exist", r.ID)
	if _, err := s.Store.Run(s.ctx, r.ID); fault.Message(err) != gone {
		s.Errorf("deleted run: %v", err)
	}
	if steps, err := s.Store.Steps(s.ctx, r.ID); err != nil || len(steps) != 0 {
		s.Errorf("steps of a deleted run: %v, %v", steps, err)
	}
	if err := s.Store.Delete(s.ctx, r.ID); !fault.Is(err, fault.NotFound) || fault.Message(err) != gone {
		s.Errorf("second delete: %v", err)
	}
	s.refused(signal(r.ID, "x"), fault.NotFound, gone)
	s.equal("its key holds on", s.commit(createOnce(s.queued(), k))[0], runs.Outcome{Run: r.ID, Duplicate: true})
}
