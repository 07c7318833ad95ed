package coalesce_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials/internal/coalesce"
)

var errBroken = errors.New("broken")

// counter reads how often it was read; the reader waits for a token from gate each time.
type counter struct {
	begun, gate chan struct{}
	n           int
}

func (c *counter) read(context.Context) (int, error) {
	c.n++
	n := c.n
	c.begun <- struct{}{}
	<-c.gate
	if n == 3 {
		return 0, errBroken
	}
	return n, nil
}

func TestWhoeverComesDuringAReadSharesTheNextOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads coalesce.Reads[string, int]
		c := &counter{begun: make(chan struct{}), gate: make(chan struct{})}
		const many = 10
		results := make(chan int, many+1)
		ask := func() {
			n, err := reads.Do(t.Context(), "erp", c.read)
			if err != nil {
				t.Error(err)
			}
			results <- n
		}
		go ask()
		<-c.begun
		for range many {
			go ask()
		}
		synctest.Wait() // all of them have come
		c.gate <- struct{}{}
		<-c.begun
		c.gate <- struct{}{}
		got := make(map[int]int)
		for range many + 1 {
			got[<-results]++
		}
		if diff := cmp.Diff(map[int]int{1: 1, 2: many}, got); diff != "" {
			t.Errorf("callers by read (-want +got):\n%s", diff)
		}
		failed := make(chan error, 1)
		go func() {
			_, err := reads.Do(t.Context(), "erp", c.read)
			failed <- err
		}()
		<-c.begun
		c.gate <- struct{}{}
		if err := <-failed; !errors.Is(err, errBroken) {
			t.Errorf("a read that fails: %v", err)
		}
	})
}

func TestOneCallersEndDoesNotEndTheRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads coalesce.Reads[string, int]
		c := &counter{begun: make(chan struct{}), gate: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		read := func(shared context.Context) (int, error) {
			n, err := c.read(shared)
			return n, errors.Join(err, shared.Err())
		}
		go func() {
			_, err := reads.Do(ctx, "erp", read)
			first <- err
		}()
		<-c.begun
		second := make(chan int, 1)
		go func() {
			n, err := reads.Do(t.Context(), "erp", read)
			if err != nil {
				t.Error(err)
			}
			second <- n
		}()
		synctest.Wait()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller whose context has ended: %v", err)
		}
		c.gate <- struct{}{}
		<-c.begun
		c.gate <- struct{}{}
		if n := <-second; n != 2 {
			t.Errorf("the other caller got read %d, want 2", n)
		}
	})
}

func TestKeysDoNotWaitForOneAnother(t *testing.T) {
	t.Parallel()
	var reads coalesce.Reads[string, string]
	var inner string
	outer, err := reads.Do(t.Context(), "a", func(ctx context.Context) (_ string, err error) {
		inner, err = reads.Do(ctx, "b", func(context.Context) (string, error) { return "b", nil })
		return "a", err
	})
	if err != nil || outer != "a" || inner != "b" {
		t.Errorf("%q, %q, %v", outer, inner, err)
	}
}
