package expression

import "time"

// The budget of one evaluation bounds nothing when there are many: a hundred that each built
// 64 MiB took 1.8 GB at once. Those that build more than fewBytes take turns.
const (
	fewBytes    = 4 << 20
	largeAtOnce = 8
)

// large holds a token for each large evaluation of this process.
var large = make(chan struct{}, largeAtOnce)

// enlarge waits for a turn, which counts neither as steps nor as time of the evaluation.
func (m *machine) enlarge() error {
	began := time.Now()
	select {
	case large <- struct{}{}:
		m.large = true
	case <-m.ctx.Done():
		return m.check()
	}
	if !m.deadline.IsZero() {
		m.deadline = m.deadline.Add(time.Since(began))
	}
	return nil
}

// shrink gives the turn to the next one.
func (m *machine) shrink() {
	if m.large {
		m.large = false
		<-large
	}
}
