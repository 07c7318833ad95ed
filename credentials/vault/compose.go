package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"

	"keyflow/credentials"
	"keyflow/credentials/inbound"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/action"
	"keyflow/credentials/internal/certificate"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/editing"
	"keyflow/credentials/internal/management"
	"keyflow/credentials/internal/probe"
	"keyflow/credentials/internal/status"
	"keyflow/credentials/internal/throttle"
	"keyflow/credentials/internal/view"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/outbound"
	"keyflow/credentials/presets"
	"keyflow/credentials/rotation"
	"keyflow/credentials/token"
	"keyflow/credentials/transfer"
	"keyflow/credentials/usage"
)

// build composes a vault, the lower ones first.
func build(o Options, list []presets.Preset) *Vault {
	process, redirectURL := rand.Text(), strings.TrimSuffix(o.PublicURL, "/")+credentials.CallbackPath
	sealer := decrypted.NewSealer(o.Keyset)
	reader := decrypted.NewReader(o.Store, sealer, o.Sources)
	gate := &access.Gate{Reader: reader, Records: o.Store}
	uses := &usage.Log{Records: o.Store, Store: o.Seen, Usages: o.Usages, Users: o.Users, Now: o.Now, Log: o.Logger}
	viewer := &view.Viewer{RedirectURL: redirectURL, Usage: uses, Now: o.Now, Log: o.Logger}
	reminders := &usage.Reminders{Store: o.Reminders, Planned: make(chan struct{}, 1), Now: o.Now, Log: o.Logger}
	states := &status.States{Records: o.Store, Tokens: o.Tokens, Reader: reader, Connected: o.Connected, Now: o.Now, Log: o.Logger}
	certificates := &certificate.Certificates{Transport: o.Transport}
	provider := &token.Provider{Transport: o.Transport, RedirectURL: redirectURL, Certificates: certificates, Now: o.Now}
	tokens := &token.Tokens{
		Store: o.Tokens, Records: o.Store, Sealer: sealer, Reader: reader, States: states, Provider: provider,
		Process: process, Now: o.Now, Log: o.Logger,
	}
	throttles := &throttle.Throttles{Store: o.Limits, Records: o.Store, Process: process, Now: o.Now}
	resolver := &outbound.Resolver{
		Base: o.Transport, Gate: gate, Reader: reader, Tokens: tokens, Provider: provider, States: states, Certificates: certificates,
		Throttles: throttles, Usage: uses, Now: o.Now, Log: o.Logger,
	}
	prober := &probe.Prober{
		Base: o.Transport, Reader: reader, Resolver: resolver, Tokens: tokens, Provider: provider, States: states, Now: o.Now, Log: o.Logger,
	}
	editor := &editing.Editor{
		Records: o.Store, Reader: reader, Sealer: sealer, Sources: o.Sources, Viewer: viewer, Connected: o.Connected, Plan: reminders.Plan, Now: o.Now,
	}
	versions := &rotation.Rotation{Editor: editor, Gate: gate, Reader: reader, Sealer: sealer, Prober: prober, Records: o.Store, Now: o.Now}
	fallBacks := &rotation.FallBacks{Rotation: versions, Editor: editor, Reader: reader, Prober: prober, Records: o.Store, Now: o.Now, Log: o.Logger}
	resolver.FallBack = fallBacks.FallBack
	records := &management.Records{
		Editor: editor, Viewer: viewer, Usage: uses, Reader: reader, Records: o.Store, Connected: o.Connected, Now: o.Now,
		Forget: func(id credentials.ID) {
			uses.Forget(id)
			tokens.Forget(id)
			resolver.Forget(id)
			certificates.Forget(id)
			fallBacks.Forget(id)
		},
	}
	masterKey := &masterkey.Rotation{Keyset: o.Keyset, Canary: o.Canary, Records: o.Store, Log: o.Logger}
	return &Vault{
		records: records, rotations: versions,
		checks: &access.Checks{Reader: reader, Records: o.Store},
		tests:  &probe.Tests{Prober: prober, Editor: editor, Gate: gate},
		connections: &token.Connections{
			Tokens: tokens, Provider: provider, Store: o.Tokens, Sealer: sealer, Gate: gate, Reader: reader, States: states,
			Connected: o.Connected, Get: records.Get, Now: o.Now,
		},
		actions:      &action.Actions{Gate: gate, Reader: reader, Prober: prober, Tokens: tokens, Rotation: versions},
		outputs:      &action.Outputs{Sealer: sealer},
		importer:     &transfer.Importer{Editor: editor, Reader: reader, Sealer: sealer, Records: o.Store, Connected: o.Connected, Plan: reminders.Plan, Now: o.Now},
		verifier:     &inbound.Verifier{Reader: reader, Usage: uses, Now: o.Now},
		usageReports: &usage.Reports{Log: uses, Records: o.Store},
		masterKey:    masterKey,
		sources:      o.Sources, presets: list, redirectURL: redirectURL,
		services: services{reader: reader, editor: editor, states: states, tokens: tokens, resolver: resolver, usage: uses, reminders: reminders, masterKey: masterKey},
	}
}

// Serve writes last uses, keeps idle credentials alive, reminds of those that end and
// re-encrypts after a change of the master key, until ctx is done, and then writes
// what is left of the uses.
func (v *Vault) Serve(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { v.services.tokens.ServeIdle(ctx) })
	wg.Go(func() { v.services.masterKey.ServeRotation(ctx) })
	wg.Go(func() { v.services.reminders.Serve(ctx) })
	defer wg.Wait()
	return v.services.usage.Serve(ctx)
}

// Close writes what Serve has not written yet.
func (v *Vault) Close(ctx context.Context) error {
	return v.services.usage.Close(ctx)
}

// New returns a vault that is ready for use. It proves that the master key fits the database
// and completes a first start (key file and canary); *KeyError when it does not fit.
func New(o Options) (*Vault, error) {
	if o.Store == nil || o.Tokens == nil || o.Limits == nil || o.Canary == nil || o.Keyset == nil {
		return nil, errors.New("new vault: Store, Tokens, Limits, Canary and Keyset are required")
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := o.Keyset.Prove(ctx, o.Canary); err != nil {
		return nil, err
	}
	list, err := presets.All()
	if err != nil {
		return nil, err
	}
	return build(o.withDefaults(), list), nil
}
