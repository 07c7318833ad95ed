package sqlstore

import (
	"context"
	"slices"
	"strings"

	"gorm.io/gorm"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/database"
	"keyflow/internal/fault"
)

// StepPage implements runs.Store. It reads the primary key of steps node by node.
func (s *Store) StepPage(ctx context.Context, f runs.StepFilter) ([]runs.Step, error) {
	if f.Limit < 1 || f.Limit > maxPage {
		return nil, fault.New(fault.Invalid, "limit must be between 1 and %d", maxPage)
	}
	p := stepPage{db: s.db.Read().WithContext(ctx), StepFilter: f}
	if f.Status != "" {
		if p.status = record.StepNumber(f.Status); p.status == 0 {
			return nil, fault.New(fault.Invalid, "unknown status %q", f.Status)
		}
	}
	nodes, err := p.nodes()
	if err == nil {
		err = p.ofNodes(nodes)
	}
	if err == nil {
		err = p.ofElements(nodes)
	}
	if err != nil {
		return nil, database.Translate(err, "steps")
	}
	return p.steps(s.codec)
}

// stepPage is a page being read.
type stepPage struct {
	runs.StepFilter
	db     *gorm.DB
	status int16 // 0 is all
	rows   []record.StoredStep
}

// storedNode is a node with steps in a run. Last is its highest index.
type storedNode struct {
	ID   int64
	Name string
	Last int
}

// nodes returns the nodes of the run, by name. It does one index lookup for each.
func (p *stepPage) nodes() (nodes []storedNode, err error) {
	err = p.db.Raw(`WITH RECURSIVE found(node) AS (
			SELECT MIN(node) FROM steps WHERE run = ?
			UNION ALL SELECT (SELECT MIN(s.node) FROM steps s WHERE s.run = ? AND s.node > found.node) FROM found WHERE found.node IS NOT NULL)
		SELECT n.id, n.name, (SELECT MAX(s.idx) FROM steps s WHERE s.run = ? AND s.node = n.id) AS last
		FROM found JOIN node_names n ON n.id = found.node`, p.Run[:], p.Run[:], p.Run[:]).Scan(&nodes).Error
	nodes = slices.DeleteFunc(nodes, func(n storedNode) bool { return p.Node != "" && n.Name != string(p.Node) })
	slices.SortFunc(nodes, func(a, b storedNode) int { return strings.Compare(a.Name, b.Name) })
	return nodes, err
}

// ofNodes reads the steps that are no elements, some nodes at a time.
func (p *stepPage) ofNodes(nodes []storedNode) error {
	if p.After.Node != "" {
		if p.After.Index != runs.NoIndex {
			return nil
		}
		nodes = slices.DeleteFunc(slices.Clone(nodes), func(n storedNode) bool { return n.Name <= string(p.After.Node) })
	}
	for some := range slices.Chunk(nodes, p.Limit) {
		if p.full() {
			return nil
		}
		var rows []record.StoredStep
		ids := column(some, func(n storedNode) int64 { return n.ID })
		if err := p.find("s.node IN ? AND s.idx = ?", ids, runs.NoIndex).Scan(&rows).Error; err != nil {
			return err
		}
		slices.SortFunc(rows, func(a, b record.StoredStep) int { return strings.Compare(a.Node, b.Node) })
		p.rows = append(p.rows, rows[:min(len(rows), p.Limit-len(p.rows))]...)
	}
	return nil
}

// ofElements reads the elements of for_each.
func (p *stepPage) ofElements(nodes []storedNode) error {
	for _, n := range nodes {
		after := runs.NoIndex
		switch {
		case p.full():
			return nil
		case p.After.Index != runs.NoIndex && n.Name < string(p.After.Node):
			continue
		case n.Name == string(p.After.Node):
			after = p.After.Index
		}
		if n.Last <= after {
			continue
		}
		var rows []record.StoredStep
		err := p.find("s.node = ? AND s.idx > ? ORDER BY s.idx LIMIT ?", n.ID, after, p.Limit-len(p.rows)).Scan(&rows).Error
		if err != nil {
			return err
		}
		p.rows = append(p.rows, rows...)
	}
	return nil
}

func (p *stepPage) full() bool { return len(p.rows) >= p.Limit }

func (p *stepPage) find(condition string, args ...any) *gorm.DB {
	where := " WHERE s.run = ? AND "
	values := []any{p.Run[:]}
	if p.status != 0 {
		where += "s.status = ? AND "
		values = append(values, p.status)
	}
	return p.db.Raw("SELECT "+readStepColumns+fromSteps+where+condition, append(values, args...)...)
}

// steps decodes the rows, with the blobs that they refer to.
func (p *stepPage) steps(c *record.Codec) ([]runs.Step, error) {
	var hashes [][]byte
	for i := range p.rows {
		for _, v := range p.rows[i].Payloads() {
			if record.IsBlob(v) {
				hashes = append(hashes, v[1:])
			}
		}
	}
	blobs := map[[16]byte][]byte{}
	for some := range slices.Chunk(hashes, maxPage) {
		var rows []record.StoredBlob
		if err := p.db.Raw("SELECT run, hash, data FROM blobs WHERE run = ? AND hash IN ?", p.Run[:], some).Scan(&rows).Error; err != nil {
			return nil, database.Translate(err, "stored values")
		}
		for _, row := range rows {
			blobs[[16]byte(row.Hash)] = row.Data
		}
	}
	steps := make([]runs.Step, len(p.rows))
	for i := range p.rows {
		var err error
		if steps[i], err = c.Step(&p.rows[i], blobs); err != nil {
			steps[i].Error = runs.DamagedStep()
		}
	}
	return steps, nil
}

// StepCounts implements runs.Store.
func (s *Store) StepCounts(ctx context.Context, id runs.ID) (map[runs.StepStatus]int, error) {
	var rows []struct {
		Status int16
		Steps  int
	}
	err := s.db.Read().WithContext(ctx).Raw("SELECT status, COUNT(*) AS steps FROM steps WHERE run = ? GROUP BY status", id[:]).Scan(&rows).Error
	if err != nil {
		return nil, database.Translate(err, "steps")
	}
	counts := make(map[runs.StepStatus]int, len(rows))
	for _, row := range rows {
		counts[record.StepStatus(row.Status)] = row.Steps
	}
	return counts, nil
}
