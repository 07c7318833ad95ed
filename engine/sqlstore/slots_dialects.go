package sqlstore

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// lockSlots reads the book of slots, each round of questions in one exchange.
func lockSlots(ctx context.Context, conn *pgx.Conn, b *batch) error {
	err := b.readSlots(func(ask []question) error {
		if len(ask) == 0 {
			return nil
		}
		q := &pgx.Batch{}
		queueQuestions(q, ask)
		return conn.SendBatch(ctx, q).Close()
	})
	b.sortRuns()
	return wrap("read slots", err)
}

func queueSlotWrites(q *pgx.Batch, b *batch) {
	if b.slots != nil {
		queueQuestions(q, append(b.slots.writes(), b.keyWrites()...))
	}
}

func queueQuestions(q *pgx.Batch, ask []question) {
	for i := range ask {
		each := ask[i].each
		queued := q.Queue(ask[i].numbered(), ask[i].args...)
		if each == nil {
			continue
		}
		queued.Query(func(rows pgx.Rows) error {
			for rows.Next() {
				row, err := rows.Values()
				if err != nil {
					return err
				}
				each(row)
			}
			return rows.Err()
		})
	}
}

func (w *sqliteWriter) readSlots(b *batch) error {
	if b.slots == nil {
		return nil
	}
	if err := b.readSlots(w.answer); err != nil {
		return fmt.Errorf("read slots: %w", err)
	}
	b.sortRuns()
	return nil
}

func (w *sqliteWriter) changeSlots(b *batch) error {
	if b.slots == nil {
		return nil
	}
	if err := w.answer(append(b.slots.writes(), b.keyWrites()...)); err != nil {
		return fmt.Errorf("store slots: %w", err)
	}
	return nil
}

// answer carries statements out one after the other.
func (w *sqliteWriter) answer(ask []question) error {
	for i := range ask {
		args := make([]driver.Value, len(ask[i].args))
		for j, arg := range ask[i].args {
			args[j] = arg
		}
		var err error
		if each := ask[i].each; each == nil {
			err = w.exec(ask[i].sql, args...)
		} else {
			err = w.query(func(values []driver.Value) {
				row := make([]any, len(values))
				for j, v := range values {
					row[j] = v
				}
				each(row)
			}, ask[i].sql, args...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
