package database

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// statements logs statements that failed, without their values. One whose caller gave up did
// not: who waited no longer, or was told to stop, is no error of the database.
type statements struct{ logger.Interface }

var (
	_ logger.Interface  = statements{}
	_ gorm.ParamsFilter = statements{}
)

// LogMode implements logger.Interface.
func (s statements) LogMode(level logger.LogLevel) logger.Interface {
	return statements{s.Interface.LogMode(level)}
}

// Trace implements logger.Interface.
func (s statements) Trace(ctx context.Context, begin time.Time, fc func() (sql string, rows int64), err error) {
	if err != nil && (ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return
	}
	s.Interface.Trace(ctx, begin, fc, err)
}

// ParamsFilter implements gorm.ParamsFilter: a log shows no values.
func (s statements) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}
