// Package status stores what uses find out about a credential: that it works, was refused, must be
// connected, or has used up its quota. It must not know how that was found out.
package status

import (
	"context"
	"log/slog"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
)

// Report stores a state; that it cannot be stored does not change the outcome of a request.
func (s *States) Report(ctx context.Context, o *decrypted.Credential, status credentials.Status, message string) {
	if err := s.Set(context.WithoutCancel(ctx), o.ID, o, status, message); err != nil {
		s.Log.WarnContext(ctx, "state of credential not stored", "credential", o.ID, "state", status, "error", err)
	}
}

// ReportToken is report for what a renewal of a generation found: it counts while that is the
// current one.
func (s *States) ReportToken(ctx context.Context, o *decrypted.Credential, generation int64, status credentials.Status, message string) {
	if o.State.Status == status && o.State.Message == message {
		return
	}
	ctx = context.WithoutCancel(ctx)
	err := s.store(o, credentials.State{Status: status, Message: message, Since: credentials.Moment(s.Now())}, func(state credentials.State) (bool, error) {
		return s.Tokens.FailToken(ctx, o.ID, generation, o.Revision, state)
	})
	if err != nil {
		s.Log.WarnContext(ctx, "state of credential not stored", "credential", o.ID, "state", status, "error", err)
	}
}

// ReportUntil is report for a state that holds until a time.
func (s *States) ReportUntil(ctx context.Context, o *decrypted.Credential, state credentials.State) {
	ctx = context.WithoutCancel(ctx)
	err := s.store(o, state, func(state credentials.State) (bool, error) { return s.Records.SetState(ctx, o.ID, o.Revision, state) })
	if err != nil {
		s.Log.WarnContext(ctx, "state of credential not stored", "credential", o.ID, "state", state.Status, "error", err)
	}
}

// States stores what uses of credentials find out about them.
type States struct {
	Records   credentials.Store
	Tokens    credentials.TokenStore
	Reader    *decrypted.Reader
	Connected func(id credentials.ID) // a person had to connect the credential, and has
	Now       func() time.Time
	Log       *slog.Logger
}

// Set stores a state if the record is still at seen's revision; otherwise it does nothing.
func (s *States) Set(ctx context.Context, id credentials.ID, seen *decrypted.Credential, status credentials.Status, message string) error {
	if seen.State.Status == status && seen.State.Message == message {
		return nil
	}
	return s.store(seen, credentials.State{Status: status, Message: message, Since: credentials.Moment(s.Now())}, func(state credentials.State) (bool, error) {
		return s.Records.SetState(ctx, id, seen.Revision, state)
	})
}

// store writes a state and keeps the cache in step.
func (s *States) store(seen *decrypted.Credential, state credentials.State, write func(credentials.State) (stored bool, err error)) error {
	stored, err := write(state)
	if err == nil && stored && seen.State.NeedsPerson() && !state.NeedsPerson() {
		defer s.Connected(seen.ID)
	}
	s.Reader.Stated(seen, state, err == nil && stored)
	return err
}
