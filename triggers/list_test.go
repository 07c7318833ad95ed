package triggers_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/triggers"
	"keyflow/triggers/internal/firingtest"
)

func TestList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "b", `"tick": {"type": "cron", "schedule": "0 0 2 * * *", "seconds": true, "timezone": "Asia/Seoul", "overlap": "queue", "until": "2000-01-05T18:00:00Z"}, "hook": {"type": "webhook", "path": "b/{id}", "methods": ["PUT"], "credential": "c"}`)
		h.Apply(t, "a", firingtest.EveryMinute, `"enabled": false`)
		h.Apply(t, "none", ``)
		got, err := h.Manager.List(t.Context(), triggers.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2000, 1, 1, 17, 0, 0, 0, time.UTC)
		want := []triggers.Trigger{
			{Workflow: "a", Folder: "/team", ID: "tick", Type: "cron", Schedule: "* * * * *", Timezone: "UTC", Overlap: "allow", Next: []time.Time{}},
			{
				Workflow: "b", Folder: "/team", ID: "hook", Type: "webhook", Enabled: true, URL: "https://flow.example.com/hooks/b/{id}",
				Path: "b/{id}", Methods: []string{"PUT"}, Credential: "c",
			},
			{
				Workflow: "b", Folder: "/team", ID: "tick", Type: "cron", Enabled: true, Schedule: "0 0 2 * * *", Timezone: "Asia/Seoul",
				Seconds: true, Overlap: "queue", Until: new(time.Date(2000, 1, 5, 18, 0, 0, 0, time.UTC)),
				Next: []time.Time{at, at.AddDate(0, 0, 1), at.AddDate(0, 0, 2), at.AddDate(0, 0, 3), at.AddDate(0, 0, 4)},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

func TestListPages(t *testing.T) {
	t.Parallel()
	h := firingtest.Setup(t)
	h.Apply(t, "a", firingtest.EveryMinute)
	h.Apply(t, "b", firingtest.EveryMinute+`, "zz": {"type": "webhook", "path": "zz"}`)
	h.Apply(t, "c", firingtest.EveryMinute)
	tests := []struct {
		name   string
		filter triggers.Filter
		want   string
	}{
		{"all", triggers.Filter{}, "a/tick b/tick b/zz c/tick"},
		{"first page", triggers.Filter{Limit: 2}, "a/tick b/tick"},
		{"next page", triggers.Filter{After: "b/tick", Limit: 2}, "b/zz c/tick"},
		{"last page", triggers.Filter{After: "c/tick", Limit: 2}, ""},
		{"one workflow", triggers.Filter{Workflow: "b"}, "b/tick b/zz"},
		{"its folder", triggers.Filter{Folder: "/team"}, "a/tick b/tick b/zz c/tick"},
		{"another folder", triggers.Filter{Folder: "/te"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			list, err := h.Manager.List(t.Context(), tt.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, x := range list {
				got = append(got, string(x.Workflow)+"/"+x.ID)
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
