package sqlstore

import (
	"context"
	"fmt"
	"sync"

	"gorm.io/gorm"

	"keyflow/credentials"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/database"
	"keyflow/workflows"
)

// names has the numbers of origins, node names and credentials. They are few and never change, so
// they stay in memory. A new one is stored in its own transaction before it is used.
type names struct {
	db *database.DB

	mu          sync.Mutex
	origins     map[record.Origin]int64
	nodes       map[workflows.NodeID]int64
	credentials map[credentials.ID]int64
}

func newNames(db *database.DB) *names {
	return &names{
		db: db, origins: map[record.Origin]int64{}, nodes: map[workflows.NodeID]int64{}, credentials: map[credentials.ID]int64{},
	}
}

// resolve sets the numbers in all rows of the batch.
func (n *names) resolve(ctx context.Context, b *batch) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range b.encoded {
		if b.encoded[i].Err != nil {
			continue // refused: nothing of it is stored
		}
		if err := n.entry(ctx, &b.encoded[i]); err != nil {
			return err
		}
	}
	return nil
}

func (n *names) entry(ctx context.Context, enc *record.Encoded) (err error) {
	if enc.Run != nil {
		if enc.Run.OriginID, err = n.origin(ctx, enc.Run.Origin); err != nil {
			return err
		}
	}
	for i := range enc.Steps {
		if err := n.step(ctx, &enc.Steps[i]); err != nil {
			return err
		}
	}
	for i := range enc.StepChecks {
		if enc.StepChecks[i].NodeID, err = n.node(ctx, enc.StepChecks[i].Key.Node); err != nil {
			return err
		}
	}
	for i := range enc.Starts {
		if err := n.entry(ctx, &enc.Starts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (n *names) step(ctx context.Context, row *record.StepRow) (err error) {
	if row.NodeID, err = n.node(ctx, row.Key.Node); err != nil || row.Credential == "" {
		return err
	}
	row.CredentialID, err = n.credential(ctx, row.Credential)
	return err
}

func (n *names) origin(ctx context.Context, k record.Origin) (int64, error) {
	if id, ok := n.origins[k]; ok {
		return id, nil
	}
	args := []any{string(k.Workflow), k.Folder, k.TriggerID, k.TriggerType}
	id, err := n.store(ctx,
		"INSERT INTO origins (workflow, folder, trigger_id, trigger_type) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		"SELECT id FROM origins WHERE workflow = ? AND folder = ? AND trigger_id = ? AND trigger_type = ?", args)
	if err != nil {
		return 0, fmt.Errorf("number an origin: %w", err)
	}
	n.origins[k] = id
	return id, nil
}

func (n *names) node(ctx context.Context, name workflows.NodeID) (int64, error) {
	if id, ok := n.nodes[name]; ok {
		return id, nil
	}
	id, err := n.store(ctx, "INSERT INTO node_names (name) VALUES (?) ON CONFLICT DO NOTHING",
		"SELECT id FROM node_names WHERE name = ?", []any{string(name)})
	if err != nil {
		return 0, fmt.Errorf("number a node name: %w", err)
	}
	n.nodes[name] = id
	return id, nil
}

func (n *names) credential(ctx context.Context, name credentials.ID) (int64, error) {
	if id, ok := n.credentials[name]; ok {
		return id, nil
	}
	id, err := n.store(ctx, "INSERT INTO credential_names (name) VALUES (?) ON CONFLICT DO NOTHING",
		"SELECT id FROM credential_names WHERE name = ?", []any{string(name)})
	if err != nil {
		return 0, fmt.Errorf("number a credential: %w", err)
	}
	n.credentials[name] = id
	return id, nil
}

// store returns the number of a name, and inserts the name if it is new.
func (n *names) store(ctx context.Context, insert, query string, args []any) (int64, error) {
	var id int64
	err := n.db.Tx(ctx, func(tx *gorm.DB) error {
		if err := tx.Raw(query, args...).Scan(&id).Error; err != nil || id != 0 {
			return err
		}
		if err := tx.Exec(insert, args...).Error; err != nil {
			return err
		}
		return tx.Raw(query, args...).Scan(&id).Error
	})
	if err == nil && id == 0 {
		err = fmt.Errorf("%v: inserted, and not found", args)
	}
	return id, err
}
