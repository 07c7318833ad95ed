package sqlstore

import (
	"strconv"
	"strings"

	"keyflow/engine/runs"
	"keyflow/workflows"
)

// slotStatement is a statement of the slot ledger, the same for both databases. Parameters are "?";
// rows consist of []byte, string and int64. A statement without each returns no rows.
type slotStatement struct {
	sql  string
	args []any
	each func(row []any)
}

// numbered returns the statement with the parameters of Postgres.
func (q *slotStatement) numbered() string {
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
	// lockAdmission locks the row even if it changes nothing: see the WHERE of ON CONFLICT DO
	// UPDATE in the documentation of INSERT in Postgres.
	lockAdmission = "INSERT INTO admissions (workflow, version, capacity) VALUES (?, ?, ?) ON CONFLICT (workflow) DO UPDATE " +
		"SET version = excluded.version, capacity = excluded.capacity WHERE excluded.version >= admissions.version AND excluded.version >= 0"
	readCapacity = "SELECT CAST(capacity AS BIGINT) FROM admissions WHERE workflow = ?"
	readSlots    = "SELECT CAST(place AS BIGINT), workflow, grp, CAST(state AS BIGINT) FROM slots WHERE run = ?"
	countTaken   = "SELECT count(*) FROM (SELECT 1 FROM slots WHERE grp = ? AND state = 2 LIMIT ?) t"
	countWaiting = "SELECT count(*) FROM (SELECT 1 FROM slots WHERE grp = ? AND state = 1 LIMIT ?) t"
	readWaiting  = "SELECT run FROM slots WHERE grp = ? AND state = 1 ORDER BY run LIMIT ?"
	fromActive   = " FROM slots s JOIN runs r ON r.id = s.run WHERE s.grp = ? AND s.state = 2 AND r.cancel_requested = 0"
	countActive  = "SELECT count(*)" + fromActive
	readOldest   = "SELECT s.run" + fromActive + " ORDER BY s.run LIMIT ?"
)

// readSlots fills the ledger: it locks the workflows in the order of their ids, then reads their
// groups. The runs that it may change are added to those that the batch locks.
func (b *batch) readSlots(execute func([]slotStatement) error) error {
	l := b.slots
	var statements []slotStatement
	for _, run := range l.canceled {
		statements = append(statements, slotStatement{"SELECT workflow FROM slots WHERE run = ?", []any{run[:]}, func(row []any) { l.addWorkflow(workflows.ID(row[0].(string)), -1, 0) }})
	}
	if err := execute(statements); err != nil || len(l.order) == 0 {
		return err
	}
	statements = statements[:0]
	for _, a := range l.order {
		statements = append(statements,
			slotStatement{sql: lockAdmission, args: []any{string(a.workflow), a.version, a.capacity}},
			slotStatement{readCapacity, []any{string(a.workflow)}, func(row []any) { a.capacity = row[0].(int64) }})
	}
	statements = append(l.querySlots(statements, l.ended), l.querySlots(nil, l.canceled)...)
	if err := execute(statements); err != nil {
		return err
	}
	for place := runs.PlaceTrigger; place <= runs.PlaceWorkflow; place++ {
		if err := b.readGroups(place, execute); err != nil {
			return err
		}
	}
	return nil
}

// querySlots adds the statements that read the slots of runs, and the groups of these slots.
func (l *slotLedger) querySlots(statements []slotStatement, ids []runs.ID) []slotStatement {
	for _, run := range ids {
		statements = append(statements, slotStatement{readSlots, []any{run[:]}, func(row []any) {
			s := &slotRow{
				key: slotKey{run, runs.Place(row[0].(int64))}, workflow: workflows.ID(row[1].(string)),
				group: runs.GroupID(row[2].([]byte)), state: row[3].(int64), stored: true,
			}
			if l.slots[s.key] == nil {
				l.slots[s.key] = s
				l.group(s.workflow, s.group, s.key.place)
			}
		}})
	}
	return statements
}

// readGroups reads the groups of one place: how many slots are taken, and the oldest waiting runs.
func (b *batch) readGroups(place runs.Place, execute func([]slotStatement) error) error {
	l, groups := b.slots, b.slots.ordered(place)
	var statements []slotStatement
	for _, g := range groups {
		g.capacity = 1
		if a := l.workflows[g.workflow]; place == runs.PlaceWorkflow && a != nil {
			g.capacity = int(a.capacity)
		}
		statements = append(statements, slotStatement{countTaken, []any{g.id[:], int64(g.capacity + len(l.ended) + 1)}, func(row []any) { g.taken = int(row[0].(int64)) }})
		if g.maxWaiting > 1 {
			statements = append(statements, slotStatement{countWaiting, []any{g.id[:], int64(g.maxWaiting)}, func(row []any) { g.queued = int(row[0].(int64)) }})
		}
		if g.cancelings > 0 {
			statements = append(statements, slotStatement{countActive, []any{g.id[:]}, func(row []any) { g.active = int(row[0].(int64)) }},
				slotStatement{readOldest, []any{g.id[:], int64(g.cancelings + len(l.ended) + len(l.canceled) + spareOldest)}, func(row []any) { g.oldest = append(g.oldest, runs.ID(row[0].([]byte))) }})
		}
	}
	if err := execute(statements); err != nil {
		return err
	}
	statements = statements[:0]
	var known []runs.ID
	for _, g := range groups {
		limit := len(l.ended) + g.cancelings + max(g.capacity-g.taken, 0) + 1
		statements = append(statements, slotStatement{readWaiting, []any{g.id[:], int64(limit)}, func(row []any) {
			known = append(known, runs.ID(row[0].([]byte)))
			l.addWaiting(g, known[len(known)-1])
			g.moreWaiting = len(g.waiting) == limit
		}})
		known = append(known, g.oldest...)
	}
	if err := execute(statements); err != nil {
		return err
	}
	for _, run := range known {
		b.touch(run)
	}
	return execute(l.querySlots(nil, known)) // their other slots
}

// spareOldest is how many runs with a slot are read beyond one for each start that cancels another
// and for each run that ends or is canceled in the batch. A lower capacity cancels more of them.
const spareOldest = 8

// writes returns the statements that store the changed slots.
func (l *slotLedger) writes() []slotStatement {
	var out []slotStatement
	for _, s := range l.changed {
		run, place := s.key.run, int64(s.key.place)
		switch {
		case s.state == slotGone && s.stored:
			out = append(out, slotStatement{sql: "DELETE FROM slots WHERE run = ? AND place = ?", args: []any{run[:], place}})
		case s.state == slotGone:
		case s.stored:
			out = append(out, slotStatement{sql: "UPDATE slots SET state = ? WHERE run = ? AND place = ?", args: []any{s.state, run[:], place}})
		default:
			out = append(out, slotStatement{sql: "INSERT INTO slots (run, place, workflow, grp, state) VALUES (?, ?, ?, ?, ?)",
				args: []any{run[:], place, string(s.workflow), s.group[:], s.state}})
		}
	}
	return out
}

// keyWrites returns the statements for the dedupe keys of skipped starts.
func (b *batch) keyWrites() []slotStatement {
	var out []slotStatement
	for _, key := range b.writes.skipped {
		if key.Refused != nil {
			out = append(out, slotStatement{sql: "DELETE FROM dedupe WHERE hash = ?", args: []any{key.Hash[:]}})
		} else {
			out = append(out, slotStatement{sql: "UPDATE dedupe SET run = NULL WHERE hash = ?", args: []any{key.Hash[:]}})
		}
	}
	return out
}
