package sqlstore

import (
	"strconv"
	"strings"

	"keyflow/engine/runs"
	"keyflow/workflows"
)

// question is one statement of the book of slots, the same for both databases: parameters are
// "?", rows hold []byte, string and int64. Without each it returns nothing.
type question struct {
	sql  string
	args []any
	each func(row []any)
}

// numbered is the statement with the parameters of Postgres.
func (q *question) numbered() string {
	var out strings.Builder
	n := 0
	for _, c := range []byte(q.sql) {
		if c != '?' {
			out.WriteByte(c)
			continue
		}
		n++
		out.WriteString("$" + strconv.Itoa(n))
	}
	return out.String()
}

const (
	// lockAdmission locks the row also when it changes nothing: so says the documentation of
	// INSERT in Postgres for the WHERE of ON CONFLICT DO UPDATE.
	lockAdmission = "INSERT INTO admissions (workflow, version, capacity) VALUES (?, ?, ?) ON CONFLICT (workflow) DO UPDATE " +
		"SET version = excluded.version, capacity = excluded.capacity WHERE excluded.version >= admissions.version AND excluded.version >= 0"
	readCapacity = "SELECT CAST(capacity AS BIGINT) FROM admissions WHERE workflow = ?"
	readSlots    = "SELECT CAST(place AS BIGINT), workflow, grp, CAST(state AS BIGINT) FROM slots WHERE run = ?"
	countHeld    = "SELECT count(*) FROM (SELECT 1 FROM slots WHERE grp = ? AND state = 2 LIMIT ?) t"
	countLine    = "SELECT count(*) FROM (SELECT 1 FROM slots WHERE grp = ? AND state = 1 LIMIT ?) t"
	readWaiting  = "SELECT run FROM slots WHERE grp = ? AND state = 1 ORDER BY run LIMIT ?"
	fromAlive    = " FROM slots s JOIN runs r ON r.id = s.run WHERE s.grp = ? AND s.state = 2 AND r.cancel_requested = 0"
	countAlive   = "SELECT count(*)" + fromAlive
	readOldest   = "SELECT s.run" + fromAlive + " ORDER BY s.run LIMIT ?"
)

// readSlots fills the book, lock after lock: first the workflows in the order of their ids, then what
// belongs to them. The runs that it may change are added to those that the batch locks.
func (b *batch) readSlots(answer func([]question) error) error {
	k := b.slots
	var ask []question
	for _, run := range k.cancels {
		ask = append(ask, question{"SELECT workflow FROM slots WHERE run = ?", []any{run[:]}, func(row []any) { k.ask(workflows.ID(row[0].(string)), -1, 0) }})
	}
	if err := answer(ask); err != nil || len(k.order) == 0 {
		return err
	}
	ask = ask[:0]
	for _, a := range k.order {
		ask = append(ask,
			question{sql: lockAdmission, args: []any{string(a.workflow), a.version, a.capacity}},
			question{readCapacity, []any{string(a.workflow)}, func(row []any) { a.capacity = row[0].(int64) }})
	}
	ask = append(k.askSlots(ask, k.ended), k.askSlots(nil, k.cancels)...)
	if err := answer(ask); err != nil {
		return err
	}
	for place := runs.PlaceTrigger; place <= runs.PlaceWorkflow; place++ {
		if err := b.readRooms(place, answer); err != nil {
			return err
		}
	}
	return nil
}

// askSlots asks for the slots of runs; the groups of those become known.
func (k *slotBook) askSlots(ask []question, ids []runs.ID) []question {
	for _, run := range ids {
		ask = append(ask, question{readSlots, []any{run[:]}, func(row []any) {
			s := &slotRow{
				key: slotKey{run, runs.Place(row[0].(int64))}, workflow: workflows.ID(row[1].(string)),
				group: runs.GroupID(row[2].([]byte)), state: row[3].(int64), stored: true,
			}
			if k.slots[s.key] == nil {
				k.slots[s.key] = s
				k.room(s.workflow, s.group, s.key.place)
			}
		}})
	}
	return ask
}

// readRooms reads the groups of one place: how many slots are held, and whose turn it is.
func (b *batch) readRooms(place runs.Place, answer func([]question) error) error {
	k, rooms := b.slots, b.slots.ordered(place)
	var ask []question
	for _, r := range rooms {
		r.capacity = 1
		if a := k.asks[r.workflow]; place == runs.PlaceWorkflow && a != nil {
			r.capacity = int(a.capacity)
		}
		ask = append(ask, question{countHeld, []any{r.group[:], int64(r.capacity + len(k.ended) + 1)}, func(row []any) { r.held = int(row[0].(int64)) }})
		if r.most > 1 {
			ask = append(ask, question{countLine, []any{r.group[:], int64(r.most)}, func(row []any) { r.line = int(row[0].(int64)) }})
		}
		if r.cancels > 0 {
			ask = append(ask, question{countAlive, []any{r.group[:]}, func(row []any) { r.alive = int(row[0].(int64)) }},
				question{readOldest, []any{r.group[:], int64(r.cancels + len(k.ended) + len(k.cancels) + spareOldest)}, func(row []any) { r.oldest = append(r.oldest, runs.ID(row[0].([]byte))) }})
		}
	}
	if err := answer(ask); err != nil {
		return err
	}
	ask = ask[:0]
	var known []runs.ID
	for _, r := range rooms {
		limit := len(k.ended) + r.cancels + max(r.capacity-r.held, 0) + 1
		ask = append(ask, question{readWaiting, []any{r.group[:], int64(limit)}, func(row []any) {
			known = append(known, runs.ID(row[0].([]byte)))
			b.waits(r, known[len(known)-1])
			r.more = len(r.waiting) == limit
		}})
		known = append(known, r.oldest...)
	}
	if err := answer(ask); err != nil {
		return err
	}
	for _, run := range known {
		b.touch(run)
	}
	return answer(k.askSlots(nil, known)) // what else they hold or wait for
}

// spareOldest is how many more holders are looked at than there are starts that cancel one, and
// runs that end or are canceled in the same batch: a lower limit makes them cancel more.
const spareOldest = 8

// waits notes a run of the room's line.
func (b *batch) waits(r *room, run runs.ID) {
	k, key := b.slots, slotKey{run, r.place}
	s := k.slots[key]
	if s == nil {
		s = &slotRow{key: key, workflow: r.workflow, group: r.group, state: slotWaits, stored: true}
		k.slots[key] = s
	}
	r.waiting = append(r.waiting, s)
}

// writes are the statements that store what the book has decided.
func (k *slotBook) writes() []question {
	var out []question
	for _, s := range k.touched {
		run, place := s.key.run, int64(s.key.place)
		switch {
		case s.state == slotGone && s.stored:
			out = append(out, question{sql: "DELETE FROM slots WHERE run = ? AND place = ?", args: []any{run[:], place}})
		case s.state == slotGone:
		case s.stored:
			out = append(out, question{sql: "UPDATE slots SET state = ? WHERE run = ? AND place = ?", args: []any{s.state, run[:], place}})
		default:
			out = append(out, question{sql: "INSERT INTO slots (run, place, workflow, grp, state) VALUES (?, ?, ?, ?, ?)",
				args: []any{run[:], place, string(s.workflow), s.group[:], s.state}})
		}
	}
	return out
}

// keyWrites are the statements for the dedupe keys of starts that were skipped.
func (b *batch) keyWrites() []question {
	var out []question
	for _, key := range b.skipped {
		if key.Refused != nil {
			out = append(out, question{sql: "DELETE FROM dedupe WHERE hash = ?", args: []any{key.Hash[:]}})
		} else {
			out = append(out, question{sql: "UPDATE dedupe SET run = NULL WHERE hash = ?", args: []any{key.Hash[:]}})
		}
	}
	return out
}
