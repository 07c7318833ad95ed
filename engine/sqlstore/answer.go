package sqlstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/database"
)

func (w *sqliteWriter) insertAnswers(b *batch) error {
	for i := range b.answers {
		a := &b.answers[i]
		if err := w.exec("INSERT INTO answers (run, data) VALUES (?, ?) ON CONFLICT DO NOTHING", a.Run[:], a.Data); err != nil {
			return fmt.Errorf("store answer: %w", err)
		}
	}
	return nil
}

func queueAnswers(q *pgx.Batch, b *batch) {
	if len(b.answers) == 0 {
		return
	}
	q.Queue("INSERT INTO answers (run, data) SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING",
		column(b.answers, func(a record.AnswerRow) []byte { return a.Run[:] }),
		column(b.answers, func(a record.AnswerRow) []byte { return a.Data }))
}

// Answer implements engine.Store.
func (s *Store) Answer(ctx context.Context, id runs.ID) (*runs.Answer, error) {
	db := s.db.Read().WithContext(ctx)
	var found [][]byte
	if err := db.Raw("SELECT data FROM answers WHERE run = ?", id[:]).Scan(&found).Error; err != nil || len(found) == 0 {
		return nil, database.Translate(err, "answer")
	}
	data := found[0]
	blobs := record.BlobSet{}
	if record.IsBlob(data) {
		var err error
		if blobs, err = readBlobs(db, []runs.ID{id}); err != nil {
			return nil, err
		}
	}
	answer := &runs.Answer{}
	if err := s.codec.UnpackJSON(data, blobs[id], answer); err != nil {
		return nil, fmt.Errorf("answer of run %s: %w", id, err)
	}
	return answer, nil
}
