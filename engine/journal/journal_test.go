package journal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/journal"
	"keyflow/engine/runs"
	"keyflow/engine/sqlstore"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
)

// faulty lets a test stand between the journal and a store. Only Commit is used.
type faulty struct {
	runs.Store
	commit func(ctx context.Context, entries []runs.Entry, now time.Time) ([]runs.Outcome, error)
}

func (f *faulty) Commit(ctx context.Context, entries []runs.Entry, now time.Time) ([]runs.Outcome, error) {
	return f.commit(ctx, entries, now)
}

// stored answers every entry as if it had been stored.
func stored(entries []runs.Entry) []runs.Outcome { return make([]runs.Outcome, len(entries)) }

var (
	errAway  error = fault.New(fault.Unavailable, "the database is away")
	errLost  error = fault.New(fault.Unavailable, "the connection broke").Because(runs.ErrUnknown)
	errEntry       = errors.New("value out of range")
)

// serve runs the journal; the returned function stops it and gives the error of Serve.
func serve(j *journal.Journal) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- j.Serve(ctx) }()
	return func() error {
		cancel()
		return <-served
	}
}

func newRun(workflow string) runs.Run {
	now := time.Now()
	return runs.Run{
		ID: runs.ID(uuid.Must(uuid.NewV7())), Workflow: "w", Folder: "/", Status: runs.Running,
		Owner: runs.OwnerID{1}, Fence: 1, CreatedAt: now, StartedAt: &now,
		Trigger: runs.TriggerRef{ID: workflow, Type: "manual", FiredAt: now},
	}
}

func create(r runs.Run) runs.Entry { return runs.Entry{Create: &runs.NewRun{Run: r}} }

func progress(r runs.Run, set *runs.Change) runs.Entry {
	return runs.Entry{Progress: &runs.Progress{Run: r.ID, Owner: r.Owner, Fence: r.Fence, Set: set}}
}

// TestEveryCommitFailsOnce fails the N-th Commit, for N from 1 until none is left to fail,
// before it is stored and after, and expects that nobody notices.
func TestEveryCommitFailsOnce(t *testing.T) {
	t.Parallel()
	for name, storedFirst := range map[string]bool{"before it is stored": false, "answer lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				if !lifeWithFault(t, n, storedFirst) {
					if n < 10 {
						t.Errorf("only %d commits: the test lost its subject", n)
					}
					return
				}
			}
		})
	}
}

// lifeWithFault lives the lives of a few runs one entry at a time and reports whether the
// n-th Commit, which fails, was reached.
func lifeWithFault(t *testing.T, n int, storedFirst bool) (reached bool) {
	t.Helper()
	store, err := sqlstore.New(databasetest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	j := journal.New(&faulty{store, func(ctx context.Context, entries []runs.Entry, now time.Time) ([]runs.Outcome, error) {
		if calls++; calls != n {
			return store.Commit(ctx, entries, now)
		}
		reached = true
		if !storedFirst {
			return nil, errAway
		}
		if _, err := store.Commit(ctx, entries, now); err != nil {
			return nil, err
		}
		return nil, errLost
	}}, journal.Options{})
	stop := serve(j)
	write := func(e runs.Entry) runs.Outcome {
		out, err := j.Write(t.Context(), e)
		if err != nil {
			t.Errorf("commit %d fails: %v", n, err)
		}
		return out
	}
	r := newRun("w")
	key := &runs.DedupeKey{Kind: "webhook", Key: "k", ExpiresAt: time.Now().Add(time.Hour)}
	if out := write(runs.Entry{Create: &runs.NewRun{Run: r, Dedupe: key}}); out.Duplicate || out.Run != r.ID {
		t.Errorf("commit %d fails: the run is taken for a duplicate of itself: %+v", n, out)
	}
	step := runs.Entry{Progress: &runs.Progress{Run: r.ID, Owner: r.Owner, Fence: 1, Steps: []runs.Step{
		{Node: "a", Index: runs.NoIndex, Status: runs.StepSucceeded, StartedAt: r.StartedAt, Output: json.RawMessage(`1`)},
	}}}
	write(step)
	write(progress(r, &runs.Change{Status: runs.Waiting, Release: true}))
	write(runs.Entry{Signal: &runs.Signal{Run: r.ID, Kind: "callback"}})
	claimed := write(runs.Entry{Claim: &runs.Claim{Run: r.ID, Owner: runs.OwnerID{2}}})
	if claimed.Loaded == nil || claimed.Loaded.Run.Fence != 2 || len(claimed.Loaded.Steps) != 1 || len(claimed.Loaded.Signals) != 1 {
		t.Fatalf("commit %d fails: claimed %+v", n, claimed.Loaded)
	}
	r = claimed.Loaded.Run
	read := progress(r, nil)
	read.Progress.ReadSignals = claimed.Loaded.Signals[0].Seq
	write(read)
	write(progress(r, &runs.Change{Status: runs.Queued, Release: true}))
	r = write(runs.Entry{Claim: &runs.Claim{Run: r.ID, Owner: runs.OwnerID{3}}}).Loaded.Run
	write(progress(r, &runs.Change{Status: runs.Succeeded, Output: json.RawMessage(`2`)}))
	if out := write(runs.Entry{Create: &runs.NewRun{Run: newRun("w"), Dedupe: key}}); !out.Duplicate || out.Run != r.ID {
		t.Errorf("commit %d fails: duplicate: %+v", n, out)
	}
	if err := stop(); err != nil {
		t.Errorf("commit %d fails: Serve: %v", n, err)
	}
	got, err := store.Run(t.Context(), r.ID)
	if err != nil || got.Status != runs.Succeeded || got.Fence != 3 || string(got.Output) != "2" {
		t.Errorf("commit %d fails: run %+v, %v", n, got, err)
	}
	return reached
}

func TestOneBadEntryStandsAlone(t *testing.T) {
	t.Parallel()
	store, err := sqlstore.New(databasetest.SQLite(t))
	if err != nil {
		t.Fatal(err)
	}
	j := journal.New(&faulty{store, func(ctx context.Context, entries []runs.Entry, now time.Time) ([]runs.Outcome, error) {
		if slices.ContainsFunc(entries, func(e runs.Entry) bool { return e.Create.Run.Trigger.ID == "poison" }) {
			return nil, errEntry
		}
		return store.Commit(ctx, entries, now)
	}}, journal.Options{})
	var answers []<-chan runs.Outcome
	var list []runs.Run
	for i := range 201 {
		r := newRun("fine")
		if i == 77 {
			r.Trigger.ID = "poison"
		}
		list = append(list, r)
		answers = append(answers, j.Send(create(r)))
	}
	stop := serve(j)
	for i, answer := range answers {
		out := <-answer
		switch {
		case i == 77 && !errors.Is(out.Err, errEntry):
			t.Errorf("the bad entry got %v", out.Err)
		case i != 77 && out.Err != nil:
			t.Errorf("entry %d: %v", i, out.Err)
		case i != 77:
			if _, err := store.Run(t.Context(), list[i].ID); err != nil {
				t.Errorf("entry %d: %v", i, err)
			}
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestGroupCommit holds the first transaction until more entries wait, and expects them in
// the second one, in order.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	var sizes []int
	j := journal.New(&faulty{commit: func(_ context.Context, entries []runs.Entry, _ time.Time) ([]runs.Outcome, error) {
		sizes = append(sizes, len(entries))
		if len(sizes) == 1 {
			close(entered)
			<-release
		}
		return stored(entries), nil
	}}, journal.Options{MaxBatch: 40})
	stop := serve(j)
	first := j.Send(create(newRun("w")))
	<-entered
	var rest []<-chan runs.Outcome
	for range 50 {
		rest = append(rest, j.Send(create(newRun("w"))))
	}
	select {
	case out := <-first:
		t.Errorf("answered before it was stored: %+v", out)
	default:
	}
	close(release)
	for _, answer := range append(rest, first) {
		if out := <-answer; out.Err != nil {
			t.Error(out.Err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if want := []int{1, 40, 10}; !slices.Equal(sizes, want) {
		t.Errorf("entries per transaction %v, want %v", sizes, want)
	}
}

func TestLargeEntriesMakeSmallBatches(t *testing.T) {
	t.Parallel()
	var sizes []int
	j := journal.New(&faulty{commit: func(_ context.Context, entries []runs.Entry, _ time.Time) ([]runs.Outcome, error) {
		sizes = append(sizes, len(entries))
		return stored(entries), nil
	}}, journal.Options{})
	big := newRun("w")
	big.Input = make(json.RawMessage, 3<<20)
	var answers []<-chan runs.Outcome
	for range 5 {
		answers = append(answers, j.Send(create(big)))
	}
	stop := serve(j)
	for _, answer := range answers {
		<-answer
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if want := []int{2, 2, 1}; !slices.Equal(sizes, want) {
		t.Errorf("entries of 3 MiB per transaction %v, want %v", sizes, want)
	}
}

func TestBackPressure(t *testing.T) {
	t.Parallel()
	j := journal.New(&faulty{commit: func(_ context.Context, entries []runs.Entry, _ time.Time) ([]runs.Outcome, error) {
		return stored(entries), nil
	}}, journal.Options{MaxPending: 2})
	r := newRun("w")
	held := []<-chan runs.Outcome{j.Send(create(r)), j.Send(create(r)), j.Send(progress(r, nil)), j.Send(runs.Entry{Claim: &runs.Claim{}})}
	for name, e := range map[string]runs.Entry{"create": create(r), "signal": {Signal: &runs.Signal{Run: r.ID}}} {
		out := <-j.Send(e)
		if !fault.Is(out.Err, fault.Unavailable) || fault.Message(out.Err) != "too much is waiting to be stored: try again" {
			t.Errorf("%s over the bound: %v", name, out.Err)
		}
	}
	stop := serve(j)
	for i, answer := range held {
		if out := <-answer; out.Err != nil {
			t.Errorf("entry %d: %v", i, out.Err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestDatabaseAwayAndBack takes the database away for a minute: what comes from outside is
// refused, what runs waits, and nothing has to be restarted.
func TestDatabaseAwayAndBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		var tries atomic.Int64
		j := journal.New(&faulty{commit: func(_ context.Context, entries []runs.Entry, _ time.Time) ([]runs.Outcome, error) {
			tries.Add(1)
			if away.Load() {
				return nil, errAway
			}
			return stored(entries), nil
		}}, journal.Options{})
		stop := serve(j)
		r := newRun("w")
		if _, err := j.Write(t.Context(), create(r)); err != nil {
			t.Fatal(err)
		}
		away.Store(true)
		running, first := j.Send(progress(r, nil)), j.Send(create(r))
		time.Sleep(time.Second)
		synctest.Wait()
		const refusal = "the database cannot store anything now: try again"
		if out := <-first; !fault.Is(out.Err, fault.Unavailable) || fault.Message(out.Err) != refusal {
			t.Errorf("create under way: %v", out.Err)
		}
		for name, e := range map[string]runs.Entry{"create": create(r), "signal": {Signal: &runs.Signal{Run: r.ID}}} {
			if out := <-j.Send(e); !fault.Is(out.Err, fault.Unavailable) || fault.Message(out.Err) != refusal || !errors.Is(out.Err, errAway) {
				t.Errorf("%s while away: %v", name, out.Err)
			}
		}
		if err := j.Err(); !fault.Is(err, fault.Unavailable) {
			t.Errorf("Err while away: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := tries.Load(); n > 80 {
			t.Errorf("%d tries in a minute", n)
		}
		select {
		case out := <-running:
			t.Errorf("progress was answered while the database was away: %+v", out)
		default:
		}
		away.Store(false)
		if out := <-running; out.Err != nil {
			t.Errorf("progress after the return: %v", out.Err)
		}
		if err := j.Err(); err != nil {
			t.Errorf("Err after the return: %v", err)
		}
		if _, err := j.Write(t.Context(), create(r)); err != nil {
			t.Errorf("create after the return: %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestReturnIsNoticedWithoutWork: readiness must recover although nobody sends anything.
func TestReturnIsNoticedWithoutWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		j := journal.New(&faulty{commit: func(_ context.Context, entries []runs.Entry, _ time.Time) ([]runs.Outcome, error) {
			if away.Load() {
				return nil, errAway
			}
			return stored(entries), nil
		}}, journal.Options{})
		stop := serve(j)
		if out := <-j.Send(create(newRun("w"))); !fault.Is(out.Err, fault.Unavailable) {
			t.Errorf("create while away: %v", out.Err)
		}
		away.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := j.Err(); err != nil {
			t.Errorf("Err after the return: %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestUnknownFateIsSettled: an entry whose COMMIT was not answered is never refused, for it
// may be stored; it is written again as the same entry.
func TestUnknownFateIsSettled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var batches [][]runs.Entry
		j := journal.New(&faulty{commit: func(_ context.Context, entries []runs.Entry, _ time.Time) ([]runs.Outcome, error) {
			batches = append(batches, slices.Clone(entries))
			if len(batches) < 20 {
				return nil, errLost
			}
			return stored(entries), nil
		}}, journal.Options{})
		r := newRun("w")
		answers := []<-chan runs.Outcome{
			j.Send(create(r)), j.Send(runs.Entry{Signal: &runs.Signal{Run: r.ID}}), j.Send(runs.Entry{Claim: &runs.Claim{Run: r.ID}}),
		}
		stop := serve(j)
		for i, answer := range answers {
			if out := <-answer; out.Err != nil {
				t.Errorf("entry %d: %v", i, out.Err)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		first, last := batches[0], batches[len(batches)-1]
		if len(last) != 3 || last[0].Create != first[0].Create {
			t.Fatalf("last batch: %+v", last)
		}
		if id := first[1].Signal.ID; id == uuid.Nil || last[1].Signal.ID != id {
			t.Errorf("signal ids %v, then %v", id, last[1].Signal.ID)
		}
		if first[2].Claim.Again || !last[2].Claim.Again {
			t.Errorf("claim: again = %v, then %v", first[2].Claim.Again, last[2].Claim.Again)
		}
	})
}

func TestStopStoresWhatIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		count := 0
		j := journal.New(&faulty{commit: func(_ context.Context, entries []runs.Entry, _ time.Time) ([]runs.Outcome, error) {
			count += len(entries)
			return stored(entries), nil
		}}, journal.Options{MaxBatch: 7})
		var answers []<-chan runs.Outcome
		for range 100 {
			answers = append(answers, j.Send(create(newRun("w"))))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := j.Serve(ctx); err != nil {
			t.Error(err)
		}
		for _, answer := range answers {
			if out := <-answer; out.Err != nil {
				t.Fatal(out.Err)
			}
		}
		if count != 100 {
			t.Errorf("%d entries stored", count)
		}
		if out := <-j.Send(progress(newRun("w"), nil)); fault.Message(out.Err) != "the process is stopping: try again" {
			t.Errorf("after the end: %v", out.Err)
		}
	})
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := journal.New(&faulty{commit: func(ctx context.Context, _ []runs.Entry, _ time.Time) ([]runs.Outcome, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}, journal.Options{CommitTimeout: 3 * time.Second, DrainTimeout: 5 * time.Second})
		stop := serve(j)
		answer := j.Send(progress(newRun("w"), nil))
		synctest.Wait()
		began := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 9*time.Second {
			t.Errorf("stopping took %v", took)
		}
		if out := <-answer; !fault.Is(out.Err, fault.Unavailable) {
			t.Errorf("what was left got %v", out.Err)
		}
	})
}

func TestUnconfirmedSyncEndsTheJournal(t *testing.T) {
	t.Parallel()
	calls := 0
	j := journal.New(&faulty{commit: func(context.Context, []runs.Entry, time.Time) ([]runs.Outcome, error) {
		calls++
		return nil, fmt.Errorf("commit: %w", runs.ErrSync)
	}}, journal.Options{})
	answer := j.Send(progress(newRun("w"), nil))
	if err := j.Serve(t.Context()); !errors.Is(err, runs.ErrSync) {
		t.Errorf("Serve: %v, want ErrSync", err)
	}
	if out := <-answer; !fault.Is(out.Err, fault.Unavailable) {
		t.Errorf("entry: %v", out.Err)
	}
	if out := <-j.Send(create(newRun("w"))); !fault.Is(out.Err, fault.Unavailable) {
		t.Errorf("entry after the end: %v", out.Err)
	}
	if calls != 1 {
		t.Errorf("the sync was tried %d times", calls)
	}
}

func TestWriteEndsWithItsContext(t *testing.T) {
	t.Parallel()
	j := journal.New(&faulty{}, journal.Options{}) // nobody serves
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := j.Write(ctx, create(newRun("w")))
	if !fault.Is(err, fault.Unavailable) || fault.Message(err) != "the database did not answer in time" || !errors.Is(err, context.Canceled) {
		t.Errorf("Write: %v", err)
	}
}

// TestConnectionsCut terminates the server's connections under load again and again: every
// entry is stored once, although COMMITs are lost half-way.
func TestConnectionsCut(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	store, err := sqlstore.New(db)
	if err != nil {
		t.Fatal(err)
	}
	j := journal.New(store, journal.Options{})
	stop := serve(j)
	const workers, each = 8, 60
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range each {
				if err := oneLife(j); err != nil {
					t.Errorf("%v", err)
					return
				}
			}
		})
	}
	over := make(chan struct{})
	go func() {
		group.Wait()
		close(over)
	}()
	cuts := 0
	for done := false; !done; {
		err := db.Write().Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").Error
		if err == nil {
			cuts++
		}
		select {
		case <-over:
			done = true
		case <-time.After(15 * time.Millisecond):
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	count := 0
	if err := db.Read().Raw("SELECT count(*) FROM runs WHERE status = 4 AND fence = 1").Scan(&count).Error; err != nil || count != workers*each {
		t.Errorf("%d runs succeeded, want %d (%v)", count, workers*each, err)
	}
	if cuts < 3 {
		t.Errorf("only %d cuts: the test lost its subject", cuts)
	}
}

// oneLife creates and ends a run; a refused creation is sent again, as the same run.
func oneLife(j *journal.Journal) error {
	r := newRun("w")
	for {
		out := <-j.Send(create(r))
		if fault.Is(out.Err, fault.Unavailable) {
			<-time.After(time.Millisecond) // as a client would
			continue
		}
		if out.Err != nil {
			return fmt.Errorf("create: %w", out.Err)
		}
		break
	}
	if out := <-j.Send(progress(r, &runs.Change{Status: runs.Succeeded})); out.Err != nil {
		return fmt.Errorf("end: %w", out.Err)
	}
	return nil
}
