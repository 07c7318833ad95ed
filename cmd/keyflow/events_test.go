package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"keyflow/internal/database/databasetest"
)

// runsOf returns the runs of a workflow, newest first.
func (s *instance) runsOf(workflow string) (list []map[string]any) {
	s.t.Helper()
	for cursor := ""; ; {
		page := s.must(http.MethodGet, "/api/v1/runs?limit=200&workflow="+workflow+cursor, nil)
		for _, item := range page.json["items"].([]any) {
			list = append(list, item.(map[string]any))
		}
		next, more := page.json["next_cursor"].(string)
		if !more {
			return list
		}
		cursor = "&cursor=" + next
	}
}

// metric returns a number of /metrics; 0 when it is not there.
func (s *instance) metric(name string) float64 {
	s.t.Helper()
	for _, line := range strings.Split(s.must(http.MethodGet, "/metrics", nil).body, "\n") {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

func cloudEvent(id, eventType string) map[string]any {
	return map[string]any{"specversion": "1.0", "id": id, "source": "/tickets", "type": eventType, "data": map[string]any{"id": id}}
}

const onTicket = `{"id": "%s", "triggers": {"on": {"type": "event", "event": "com.example.ticket.*"}},
	"nodes": {"n": {"type": "transform", "with": {"value": "{{ trigger.event.data.id }}"}}}, "output": "{{ nodes.n.output }}"}`

// 5 and 50 deliveries of one event at once are one run, and each is answered with it.
func TestParallelDeliveriesOfOneEvent(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database ...string) {
		t.Helper()
		s := serve(t, "", database...)
		s.apply("w", fmt.Sprintf(onTicket, "w"))
		for i, deliveries := range []int{5, 50} {
			var mu sync.Mutex
			answers := map[string]int{}
			var wg sync.WaitGroup
			for range deliveries {
				wg.Go(func() {
					a := s.do(http.MethodPost, "/api/v1/events", cloudEvent(fmt.Sprint("e", i), "com.example.ticket.created"))
					mu.Lock()
					defer mu.Unlock()
					answers[fmt.Sprint(a.status, a.body)]++
				})
			}
			wg.Wait()
			if len(answers) != 1 || !strings.HasPrefix(slices.Collect(maps.Keys(answers))[0], "202") {
				t.Errorf("%d deliveries: answers %v", deliveries, answers)
			}
			if runs := s.runsOf("w"); len(runs) != i+1 {
				t.Errorf("after %d deliveries %d runs", deliveries, len(runs))
			}
		}
	})
}

// A batch with a bad event among 200 good ones, and events that lead to themselves.
func TestEventsOfABatchAndALoop(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database ...string) {
		t.Helper()
		s := serve(t, "", database...)
		s.apply("w", fmt.Sprintf(onTicket, "w"))
		var batch []any
		for i := range 201 {
			batch = append(batch, cloudEvent(fmt.Sprint(i), "com.example.ticket.created"))
		}
		batch[77].(map[string]any)["data"] = map[string]any{"text": "a\x00b"}
		a := s.do(http.MethodPost, "/api/v1/events", batch, "Content-Type", "application/cloudevents-batch+json")
		if a.status != http.StatusAccepted || strings.Count(a.body, `"error"`) != 1 || !strings.Contains(a.body, `"path":"/77/data/text","code":"nul_character"`) {
			t.Errorf("%d %.300s", a.status, a.body)
		}
		if runs := s.runsOf("w"); len(runs) != 200 {
			t.Errorf("%d runs", len(runs))
		}

		s.apply("loop", `{"id": "loop", "triggers": {"again": {"type": "event", "event": "loop"}}, "nodes": {"tell": {"type": "emit", "with": {"event": "loop"}}}}`)
		s.must(http.MethodPost, "/api/v1/workflows/loop/runs", nil)
		eventually(t, "the loop is refused", func() bool { return s.metric(`keyflow_event_starts_total{result="refused"}`) == 1 })
		if runs := s.runsOf("loop"); len(runs) != 33 {
			t.Errorf("the loop went round %d times, want the start and 32 more", len(runs))
		}
	})
}

// What a run has told starts its subscribers exactly once, though the server is killed again and
// again while it hands events out.
func TestKillWhileEventsAreHandedOut(t *testing.T) {
	t.Parallel()
	const events = 300
	s := serve(t, "")
	s.apply("w", fmt.Sprintf(onTicket, "w"))
	s.apply("teller", `{"id": "teller", "nodes": {"tell": {"type": "emit", "for_each": "0..`+fmt.Sprint(events-1)+`", "max_parallel": 20,
		"with": {"event": "com.example.ticket.made", "data": {"id": "{{ item }}"}}}}}`)
	id := text(s.must(http.MethodPost, "/api/v1/workflows/teller/runs", nil).json["id"])
	for _, least := range []int{1, 100, 200} {
		eventually(t, "some were started", func() bool { return len(s.runsOf("w")) >= least })
		s.kill()
		s = serve(t, s.dir)
	}
	eventually(t, "the run ends", func() bool { return s.must(http.MethodGet, "/api/v1/runs/"+id, nil).json["status"] == "succeeded" })
	eventually(t, "all were handed out", func() bool { return len(s.runsOf("w")) >= events })
	// More events, behind all others: what is handed out twice shows.
	s.run("teller", nil)
	eventually(t, "all of the second run were handed out", func() bool { return len(s.runsOf("w")) >= 2*events })
	seen := map[string]int{}
	for _, run := range s.runsOf("w") {
		one := s.must(http.MethodGet, "/api/v1/runs/"+text(run["id"]), nil)
		seen[text(one.json["input"].(map[string]any)["id"])]++
	}
	if len(seen) != events {
		t.Errorf("%d different events started runs, want %d", len(seen), events)
	}
	for item, n := range seen {
		if n != 2 {
			t.Errorf("event %s of two runs started %d", item, n)
		}
	}
}

// A trigger that one process has stored gets what another one is sent, or told by its runs, after that.
func TestEventsAcrossProcesses(t *testing.T) {
	t.Parallel()
	url := databasetest.PostgresURL(t)
	a := serve(t, "", "--database-url", url)
	b := serveWith(t, a.dir, []string{"KEYFLOW_ADMIN_TOKEN=" + a.token}, "--database-url", url)
	for i := range 5 {
		id := fmt.Sprint("w", i)
		a.apply(id, fmt.Sprintf(onTicket, id))
		sent := b.must(http.MethodPost, "/api/v1/events", cloudEvent(id, "com.example.ticket.sent"))
		if runs := sent.json["items"].([]any)[0].(map[string]any)["run_ids"].([]any); len(runs) != i+1 {
			t.Errorf("an event sent to the other process started %d runs, want %d", len(runs), i+1)
		}
	}
	b.apply("teller", `{"id": "teller", "nodes": {"tell": {"type": "emit", "with": {"event": "com.example.ticket.told", "data": {"id": "told"}}}}}`)
	b.run("teller", nil)
	for i := range 5 {
		eventually(t, "every workflow is told once", func() bool { return len(a.runsOf(fmt.Sprint("w", i))) == 5-i+1 })
	}
}

// The ends of runs, and what becomes of credentials, are events; who subscribes to them is told.
func TestInternalEvents(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("quiet", `{"id": "quiet", "nodes": {"n": {"type": "transform", "with": {"value": 1}}}}`)
	s.run("quiet", nil) // nobody wants to know
	s.apply("watch", `{"id": "watch", "triggers": {
		"ends": {"type": "event", "event": "keyflow.run.finished", "filter": "trigger.event.data.workflow == 'broken'"},
		"new": {"type": "event", "event": "keyflow.credential.*", "input": "{{ trigger.event }}"}
	}, "nodes": {"n": {"type": "transform", "with": {"value": "{{ input }}"}}}, "output": "{{ nodes.n.output }}"}`)
	s.apply("broken", `{"id": "broken", "nodes": {"f": {"type": "fail", "with": {"message": "no stock"}}}}`)
	id := text(s.must(http.MethodPost, "/api/v1/workflows/broken/runs", map[string]any{"input": map[string]any{"secret": "canary-payload"}}).json["id"])
	eventually(t, "its end is told", func() bool { return len(s.runsOf("watch")) == 1 })
	run := s.must(http.MethodGet, "/api/v1/runs/"+text(s.runsOf("watch")[0]["id"]), nil)
	input := run.json["input"].(map[string]any)
	if input["run_id"] != id || input["status"] != "failed" || strings.Contains(run.body, "canary-payload") || strings.Contains(run.body, "quiet") {
		t.Errorf("run %s", run.body)
	}
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{"id": "erp", "type": "basic_auth", "allowed_hosts": []string{"erp.example.com"}, "fields": map[string]any{"username": "it", "password": "canary-password"}})
	eventually(t, "the credential is told", func() bool { return len(s.runsOf("watch")) == 2 })
	told := s.must(http.MethodGet, "/api/v1/runs/"+text(s.runsOf("watch")[0]["id"]), nil)
	event := told.json["input"].(map[string]any)
	if event["type"] != "keyflow.credential.created" || event["source"] != "/credentials/erp" || event["subject"] != "credentials/erp" || strings.Contains(told.body, "canary") {
		t.Errorf("event %s", told.body)
	}
}

// 10,000 events at once: each is accepted once, and memory stays within bounds.
func TestEventStorm(t *testing.T) {
	t.Parallel()
	const batches, each = 50, 200
	s := serve(t, "")
	s.apply("w", `{"id": "w", "triggers": {"on": {"type": "event", "event": "storm", "filter": "trigger.event.data.n % 50 == 0"}}, "nodes": {"n": {"type": "transform", "with": {"value": 1}}}}`)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	padding := strings.Repeat("x", 2000)
	for b := range batches {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			batch := make([]any, each)
			for i := range batch {
				batch[i] = map[string]any{"specversion": "1.0", "id": fmt.Sprint(b, "-", i), "source": "/s", "type": "storm", "data": map[string]any{"n": b*each + i, "padding": padding}}
			}
			for {
				a := s.do(http.MethodPost, "/api/v1/events", batch, "Content-Type", "application/cloudevents-batch+json")
				if a.status != http.StatusServiceUnavailable {
					if a.status != http.StatusAccepted {
						t.Errorf("%d %.200s", a.status, a.body)
					}
					return
				}
				if a.header.Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
			}
		})
	}
	wg.Wait()
	if runs := s.runsOf("w"); len(runs) != batches*each/50 {
		t.Errorf("%d runs, want %d", len(runs), batches*each/50)
	}
	if heap := s.metric("go_memstats_heap_inuse_bytes"); heap == 0 || heap > 256<<20 {
		t.Errorf("%.0f MiB of heap", heap/(1<<20))
	}
}

func TestEventsSend(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("w", fmt.Sprintf(onTicket, "w"))
	file := filepath.Join(t.TempDir(), "batch.json")
	if err := os.WriteFile(file, []byte(`[{"specversion": "1.0", "id": "f1", "source": "/f", "type": "com.example.ticket.x", "data": {"id": 1}}, {"id": "f2"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	send := func(stdin string, args ...string) result {
		return keyflowIn(t, stdin, s.env(), append([]string{"events", "send"}, args...)...)
	}
	first := send("", "--type", "com.example.ticket.created", "--source", "/tickets", "--id", "7", "--subject", "a", "--data", `{"id": 7}`)
	if runs := s.runsOf("w"); first.code != exitOK || len(runs) != 1 || !strings.Contains(first.stdout, text(runs[0]["id"])) {
		t.Fatalf("%+v", first)
	}
	for name, tt := range map[string]struct {
		got         result
		code        int
		stdout, err string
	}{
		"again, as JSON": {send(`{"id": 8}`, "--type", "com.example.ticket.created", "--source", "/tickets", "--id", "7", "--data", "-", "--output", "json"), exitOK, `"run_ids": [`, ""},
		"unknown type":   {send("", "--type", "nobody", "--source", "/tickets"), exitOK, "started nothing", ""},
		"file":           {send("", "--file", file), exitFailed, "not accepted: /1/source: the attribute is required", "one event was not accepted"},
		"nothing":        {send(""), exitUsage, "", "--type and --source are required"},
		"both":           {send("", "--file", file, "--type", "t"), exitUsage, "", "leave the other flags out"},
		"no JSON":        {send("", "--type", "t", "--source", "/s", "--data", "{"), exitUsage, "", "--data is not valid JSON"},
		"own type":       {send("", "--type", "keyflow.x", "--source", "/s"), exitUsage, "", "Keyflow's own"},
	} {
		if tt.got.code != tt.code || !strings.Contains(tt.got.stdout, tt.stdout) || !strings.Contains(tt.got.stderr, tt.err) {
			t.Errorf("%s: %+v", name, tt.got)
		}
	}
	if runs := s.runsOf("w"); len(runs) != 2 {
		t.Errorf("%d runs", len(runs))
	}
	listed := keyflow(t, s.env(), "triggers", "list")
	if !strings.Contains(listed.stdout, "com.example.ticket.*") {
		t.Errorf("triggers list: %+v", listed)
	}
}

// sweepEvents looks at the runs that events of the sweep have started.
func sweepEvents(s *instance, sweep *sweeper) {
	s.t.Helper()
	s.must(http.MethodPost, "/api/v1/events", cloudEvent("last", "com.example.swept"))
	eventually(s.t, "events were handed out", func() bool { return s.metric(`keyflow_events_total{type="emitted"}`) >= 60 })
	heard := s.runsOf("heard")
	if len(heard) < 60 {
		s.t.Errorf("only %d events were heard", len(heard))
	}
	for _, run := range heard {
		sweep.add("run heard", s.must(http.MethodGet, "/api/v1/runs/"+text(run["id"]), nil).body)
	}
}
