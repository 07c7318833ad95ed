//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// again is the pause before something that was not accepted is sent again.
const again = 100 * time.Millisecond

// maxOpen bounds what the driver has in flight; over it, it starts nothing.
const maxOpen = 600

// driver starts runs, decides, calls back and cancels, and writes down the answers.
type driver struct {
	client  *client
	book    *ledger
	up      *upstream
	hangsUp int    // of a thousand requests that start something
	seed    uint64 // names the tokens
	ctx     context.Context
	work    sync.WaitGroup
	open    chan struct{}
}

func newDriver(ctx context.Context, c *client, up *upstream, seed uint64) *driver {
	return &driver{client: c, book: newLedger(), up: up, seed: seed, ctx: ctx, open: make(chan struct{}, maxOpen)}
}

// means are the ways to start a run.
type means int

const (
	byHand means = iota
	byHook
	byEvent
)

// kind is one way to start runs of one workflow.
type kind struct {
	workflow string
	by       means
	keyed    bool
	weight   int
	follow   func(d *driver, token, run string, rng *rand.Rand) // nil: nothing more to do
}

func kinds() []kind {
	return []kind{
		{workflow: "chain", by: byHook, keyed: true, weight: 4},
		{workflow: "plain", by: byHook, weight: 3},
		{workflow: "finish", by: byHook, keyed: true, weight: 3},
		{workflow: "fan", keyed: true, weight: 2},
		{workflow: "fan", weight: 1},
		{workflow: "flaky", keyed: true, weight: 4},
		{workflow: "once", keyed: true, weight: 3},
		{workflow: "wait", keyed: true, weight: 3},
		{workflow: "callback", keyed: true, weight: 3},
		{workflow: "approval", keyed: true, weight: 3, follow: (*driver).decide},
		{workflow: "parent", keyed: true, weight: 3},
		{workflow: "failing", keyed: true, weight: 2},
		{workflow: "heard", by: byEvent, keyed: true, weight: 3},
		{workflow: "limited", keyed: true, weight: 3},
		{workflow: "long", keyed: true, weight: 3, follow: (*driver).cancel},
	}
}

// load starts rate runs a second until ctx is done. What it has begun goes on until the
// driver's own context ends; settle waits for that.
func (d *driver) load(ctx context.Context, rate int) {
	rng := rand.New(rand.NewPCG(d.seed, 1))
	var deck []kind
	for _, k := range kinds() {
		deck = append(deck, slices.Repeat([]kind{k}, k.weight)...)
	}
	d.work.Go(func() { d.callBack(ctx) })
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case d.open <- struct{}{}:
		default:
			continue
		}
		k, luck := deck[rng.IntN(len(deck))], rng.Uint64()
		d.work.Go(func() {
			defer func() { <-d.open }()
			d.play(k, fmt.Sprintf("%d-%d#%d", d.seed, n, n%4), rand.New(rand.NewPCG(d.seed, luck)))
		})
	}
}

// settle waits until everything begun was accepted or has come to its end.
func (d *driver) settle() { d.work.Wait() }

// play starts one run and does what follows.
func (d *driver) play(k kind, token string, rng *rand.Rand) {
	d.book.open(k.workflow, token, k.keyed)
	for {
		run, v := d.begin(&k, token, rng)
		if v == accepted {
			if k.follow != nil {
				k.follow(d, token, run, rng)
			}
			return
		}
		if !k.keyed || !pause(d.ctx, again) {
			return
		}
	}
}

// begin sends one start and notes the answer.
func (d *driver) begin(k *kind, token string, rng *rand.Rand) (run string, v verdict) {
	path, body, headers := k.request(token)
	var a answer
	if rng.IntN(1000) < d.hangsUp {
		a = d.client.hangUp(d.ctx, path, body, headers...)
	} else {
		a = d.client.do(d.ctx, http.MethodPost, path, body, headers...)
	}
	return d.noteStart(k, token, &a)
}

// request is what starts a run of the kind with the token.
func (k *kind) request(token string) (path string, body map[string]any, headers []string) {
	path, body = "/api/v1/workflows/"+k.workflow+"/runs", map[string]any{"input": map[string]any{"n": token}}
	header := "Idempotency-Key"
	switch k.by {
	case byHand:
	case byHook:
		path, body, header = "/hooks/"+k.workflow, map[string]any{"n": token}, "X-Delivery-Id"
	case byEvent:
		return "/api/v1/events", map[string]any{
			"specversion": "1.0", "id": token, "source": "/faults", "type": "faults.outside", "data": map[string]any{"n": token},
		}, nil
	}
	if k.keyed {
		headers = []string{header, token}
	}
	return path, body, headers
}

func (d *driver) noteStart(k *kind, token string, a *answer) (run string, v verdict) {
	v = a.verdict()
	var id struct {
		ID    string
		RunID string `json:"run_id"`
		N     string
		Items []struct {
			RunIDs []string `json:"run_ids"`
		}
	}
	if a.err == nil {
		_ = json.Unmarshal(a.body, &id) // what is no JSON has no id
	}
	run = id.ID + id.RunID
	if len(id.Items) == 1 && len(id.Items[0].RunIDs) == 1 {
		run = id.Items[0].RunIDs[0]
	}
	d.book.note(token, func(s *start) {
		switch v {
		case accepted:
			switch {
			case run != "":
				s.runs[run] = true
			case id.N != "":
				s.answered, s.told = time.Now(), id.N
			default:
				s.odd = append(s.odd, fmt.Sprintf("start of %s accepted with %d %.200s", k.workflow, a.status, a.body))
			}
		case unknown:
			s.unknown++
		case refused:
			s.refused++
			if a.err == nil && !decent(a.status) {
				s.odd = append(s.odd, fmt.Sprintf("start of %s answered with %d %.200s", k.workflow, a.status, a.body))
			}
		}
	})
	return run, v
}

// decent are the statuses of a refusal that blames nobody and asks to come again.
func decent(status int) bool {
	return status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests
}

// callBack calls the URLs that the upstream was given, also after ctx, until none is to come.
func (d *driver) callBack(ctx context.Context) {
	for d.ctx.Err() == nil && (ctx.Err() == nil || d.book.expectsCallbacks()) {
		select {
		case a := <-d.up.asked:
			d.work.Go(func() { d.bring(a) })
		case <-time.After(again):
		}
	}
}

// bring calls one URL back until the call is accepted, or was before.
func (d *driver) bring(a asked) {
	if !pause(d.ctx, time.Duration(hash(a.token)%1500)*time.Millisecond) {
		return
	}
	_, path, _ := strings.Cut(strings.TrimPrefix(a.url, "http://"), "/")
	for {
		got := d.client.do(d.ctx, http.MethodPost, "/"+path, map[string]any{"n": a.token})
		done := false
		d.book.note(a.token, func(s *start) {
			switch {
			case got.verdict() == accepted:
				s.called++
				done = true
			case got.err == nil && got.status == http.StatusConflict:
				s.gone++
				done = true
			case got.err == nil && !decent(got.status):
				s.odd = append(s.odd, fmt.Sprintf("callback answered with %d %.200s", got.status, got.body))
			}
		})
		if done || !pause(d.ctx, again) {
			return
		}
	}
}

// decide approves and rejects at once, as soon as the step waits, until one of them counts.
func (d *driver) decide(token, run string, rng *rand.Rand) {
	pause(d.ctx, time.Duration(rng.IntN(1000))*time.Millisecond)
	for pause(d.ctx, again) {
		var view runView
		if d.client.read(d.ctx, "/api/v1/runs/"+run, &view) != nil {
			continue
		}
		i := slices.IndexFunc(view.Steps, func(s stepView) bool { return s.Node == "go" })
		if view.final() || i >= 0 && ended(view.Steps[i].Status) {
			return
		}
		if i < 0 || view.Steps[i].Status != "waiting" {
			continue
		}
		var both sync.WaitGroup
		for word, approved := range map[string]bool{"approve": true, "reject": false} {
			both.Go(func() {
				a := d.client.do(d.ctx, http.MethodPost, "/api/v1/runs/"+run+"/steps/go/"+word, nil)
				if a.verdict() == accepted {
					d.book.note(token, func(s *start) { s.decisions = append(s.decisions, approved) })
				}
			})
		}
		both.Wait()
	}
}

// cancel asks a run to end, at some moment of its life.
func (d *driver) cancel(token, run string, rng *rand.Rand) {
	pause(d.ctx, time.Duration(rng.IntN(2500))*time.Millisecond)
	for {
		a := d.client.do(d.ctx, http.MethodPost, "/api/v1/runs/"+run+"/cancel", nil)
		if a.verdict() == accepted {
			d.book.note(token, func(s *start) { s.canceled = time.Now() })
			return
		}
		if a.err == nil && a.status == http.StatusConflict || !pause(d.ctx, again) {
			return
		}
	}
}
