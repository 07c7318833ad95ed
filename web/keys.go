package web

import (
	"context"

	"keyflow/credentials"
	"keyflow/web/session"
)

func (s *server) keyStatus(ctx context.Context, who session.Who, _ *struct{}) (*answer[credentials.KeyStatus], error) {
	status, err := s.credentials.Keys(ctx, who.Caller)
	if err != nil {
		return nil, err
	}
	return ok(status), nil
}

func (s *server) rotateKeys(ctx context.Context, who session.Who, _ *struct{}) (*answer[credentials.KeyStatus], error) {
	status, err := s.credentials.RotateKeys(ctx, who.Caller)
	if err != nil {
		return nil, err
	}
	out := ok(status)
	out.Status = 202
	return out, nil
}
