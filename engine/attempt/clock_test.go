package attempt

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"keyflow/engine/values"
)

// The clock stands still while anything waits, and ends the attempt after its own time only.
func TestAttemptClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, c := withClock(t.Context(), 10*time.Second)
		defer c.end()
		begun := time.Now()
		time.Sleep(4 * time.Second)
		first := c.stand()
		time.Sleep(time.Hour)
		second := c.stand()
		first()
		time.Sleep(time.Hour)
		if ctx.Err() != nil {
			t.Fatal("the attempt ended while it waited")
		}
		second()
		<-ctx.Done()
		if took := time.Since(begun); took != 2*time.Hour+10*time.Second || !errors.Is(context.Cause(ctx), values.ErrAttemptTimeout) {
			t.Errorf("ended after %s by %v, want 2h and 10s", took, context.Cause(ctx))
		}
		c.stand()()
		var none *clock
		none.stand()()
	})
}
