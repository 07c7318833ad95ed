package workflows

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Difference is one value that differs between two definitions.
type Difference struct {
	Path string `json:"path"` // JSON pointer
	// Old and New are the value as JSON on one line; empty where there is none.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}

// String is one line: "~ /path: old -> new", "+ /path: new" or "- /path: old".
func (c Difference) String() string {
	switch {
	case c.Old == "":
		return "+ " + c.Path + ": " + c.New
	case c.New == "":
		return "- " + c.Path + ": " + c.Old
	default:
		return "~ " + c.Path + ": " + c.Old + " -> " + c.New
	}
}

// Diff lists what was changed, added and removed between two definitions, by path: the
// smallest values that differ. Spacing and the order of keys do not count. Both must be JSON.
func Diff(before, after []byte) ([]Difference, error) {
	var old, now any
	for source, to := range map[*[]byte]*any{&before: &old, &after: &now} {
		decoder := json.NewDecoder(bytes.NewReader(*source))
		decoder.UseNumber() // numbers are compared as they are written
		if err := decoder.Decode(to); err != nil {
			return nil, fmt.Errorf("compare definitions: %w", err)
		}
	}
	var d differ
	d.value("", old, now)
	return d.changes, d.err
}

type differ struct {
	changes []Difference
	err     error
}

func (d *differ) value(path string, old, now any) {
	oldMap, wasMap := old.(map[string]any)
	nowMap, isMap := now.(map[string]any)
	oldList, wasList := old.([]any)
	nowList, isList := now.([]any)
	switch {
	case wasMap && isMap:
		all := maps.Clone(oldMap)
		maps.Copy(all, nowMap)
		for _, key := range slices.Sorted(maps.Keys(all)) {
			at := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
			o, had := oldMap[key]
			n, has := nowMap[key]
			d.member(at, pair{o, had}, pair{n, has})
		}
	case wasList && isList:
		for i := range max(len(oldList), len(nowList)) {
			var o, n pair
			if i < len(oldList) {
				o = pair{oldList[i], true}
			}
			if i < len(nowList) {
				n = pair{nowList[i], true}
			}
			d.member(path+"/"+strconv.Itoa(i), o, n)
		}
	default:
		if o, n := d.text(old), d.text(now); o != n {
			d.changes = append(d.changes, Difference{Path: path, Old: o, New: n})
		}
	}
}

// pair is a value that may be missing, which is not the same as null.
type pair struct {
	value any
	is    bool
}

func (d *differ) member(path string, old, now pair) {
	switch {
	case old.is && now.is:
		d.value(path, old.value, now.value)
	case old.is:
		d.changes = append(d.changes, Difference{Path: path, Old: d.text(old.value)})
	default:
		d.changes = append(d.changes, Difference{Path: path, New: d.text(now.value)})
	}
}

func (d *differ) text(v any) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil && d.err == nil {
		d.err = fmt.Errorf("compare definitions: %w", err)
	}
	return strings.TrimSpace(b.String())
}
