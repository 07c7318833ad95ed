//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// bursting sends the calls of ten thousand callers at once, twice. Each has a connection of its own.
func bursting(ctx, loading context.Context, r *round) error {
	for n := range 2 {
		if loading.Err() != nil {
			break
		}
		r.inject("%d callers at once", r.burst)
		began := time.Now()
		tally := r.driver.burst(ctx, n, r.burst)
		r.mu.Lock()
		r.notes = append(r.notes, fmt.Sprintf("burst of %d in %.1f s: %d accepted, %d refused, %d unknown, at most %d MiB",
			r.burst, time.Since(began).Seconds(), tally[accepted], tally[refused], tally[unknown], r.inst.rss()>>20))
		r.mu.Unlock()
		if tally[accepted] == 0 {
			r.blame("P4: of %d callers at once none was accepted", r.burst)
		}
		if err := r.recovered(ctx, time.Now()); err != nil {
			return err
		}
	}
	if rss := r.inst.rss(); rss > maxRSS {
		r.blame("memory: %d MiB", rss>>20)
	}
	return nil
}

// maxRSS is the memory that a process may take at most, whatever comes.
const maxRSS = 2 << 30

func (i *installation) rss() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.maxRSS
}

// burst sends all calls as soon as all callers are connected, or cannot be.
func (d *driver) burst(ctx context.Context, n, callers int) map[verdict]int {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: 20 * time.Second}).DialContext}
	defer transport.CloseIdleConnections()
	c := &client{d.client.inst, &http.Client{Timeout: time.Minute, Transport: transport}}
	k := kind{workflow: "burst", by: byHook}
	tally := map[verdict]int{}
	var mu sync.Mutex
	var work sync.WaitGroup
	ready := make(chan struct{})
	for i := range callers {
		token := fmt.Sprintf("burst-%d-%d-%d", d.seed, n, i)
		d.book.open("burst", token, false)
		work.Go(func() {
			<-ready
			a := c.do(ctx, http.MethodPost, "/hooks/burst", map[string]any{"n": token})
			_, v := d.noteStart(&k, token, &a)
			mu.Lock()
			defer mu.Unlock()
			tally[v]++
		})
	}
	close(ready)
	work.Wait()
	return tally
}
