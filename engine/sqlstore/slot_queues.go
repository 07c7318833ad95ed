package sqlstore

import (
	"context"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/database"
	"keyflow/workflows"
)

var _ runs.SlotQueues = (*Store)(nil)

// nextQueue goes from one group to the next in the index of waiting runs. Its cost does not depend
// on how many runs wait.
const nextQueue = `SELECT s.workflow, s.grp, s.place, COALESCE(a.version, -1) AS version, COALESCE(a.capacity, 0) AS capacity,
		(SELECT count(*) FROM slots h WHERE h.grp = s.grp AND h.state = 2) AS taken
	FROM slots s LEFT JOIN admissions a ON a.workflow = s.workflow
	WHERE s.state = 1 AND (s.workflow, s.grp) > (?, ?) ORDER BY s.workflow, s.grp LIMIT 1`

// SlotQueues implements runs.SlotQueues.
func (s *Store) SlotQueues(ctx context.Context, after runs.SlotQueue, limit int) ([]runs.SlotQueue, error) {
	db := s.db.Read().WithContext(ctx)
	var queues []runs.SlotQueue
	for len(queues) < limit {
		var row struct {
			Workflow                 string
			Grp                      []byte
			Place                    uint8
			Version, Capacity, Taken int
		}
		found := db.Raw(nextQueue, string(after.Workflow), after.Group[:]).Scan(&row)
		if found.Error != nil {
			return nil, database.Translate(found.Error, "runs that wait for a slot")
		}
		if found.RowsAffected == 0 {
			break
		}
		after = runs.SlotQueue{
			Workflow: workflows.ID(row.Workflow), Group: runs.GroupID(row.Grp), Place: runs.Place(row.Place),
			Limit: row.Capacity, Version: row.Version, Taken: row.Taken,
		}
		if after.Place == runs.PlaceTrigger {
			after.Limit = 1
		}
		queues = append(queues, after)
	}
	return queues, nil
}

// Leaked implements runs.SlotQueues.
func (s *Store) Leaked(ctx context.Context, after runs.ID, limit int) (map[workflows.ID][]runs.ID, runs.ID, error) {
	var rows []struct {
		Run      []byte
		Workflow string
		Ended    int
	}
	err := s.db.Read().WithContext(ctx).Raw(`SELECT s.run, s.workflow, CASE WHEN r.id IS NULL OR r.status IN (?, ?, ?) THEN 1 ELSE 0 END AS ended
		FROM (SELECT DISTINCT run, workflow FROM slots WHERE run > ? ORDER BY run LIMIT ?) s LEFT JOIN runs r ON r.id = s.run ORDER BY s.run`,
		record.RunSucceeded, record.RunFailed, record.RunCanceled, after[:], limit).Scan(&rows).Error
	if err != nil {
		return nil, runs.ID{}, database.Translate(err, "slots of runs that have ended")
	}
	ended := map[workflows.ID][]runs.ID{}
	var last runs.ID
	for _, row := range rows {
		id := runs.ID(row.Run)
		if row.Ended == 1 {
			workflow := workflows.ID(row.Workflow)
			ended[workflow] = append(ended[workflow], id)
		}
		if len(rows) == limit {
			last = id
		}
	}
	return ended, last, nil
}
