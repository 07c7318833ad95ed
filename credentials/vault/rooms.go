package vault

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"

	"keyflow/credentials"
	"keyflow/credentials/presets"
)

// rooms are the parts of a vault that others have no access to.
type rooms struct {
	reader    *Reader
	editor    *Editor
	states    *States
	tokens    *Tokens
	resolver  *Resolver
	usage     *UsageLog
	reminders *Reminders
	log       *slog.Logger
}

// build composes a vault, lower rooms first.
func build(o Options, list []presets.Preset) *Vault {
	process, redirectURL := rand.Text(), strings.TrimSuffix(o.PublicURL, "/")+credentials.CallbackPath
	sealer := NewSealer(o.Keyset)
	reader := NewReader(o.Store, sealer, o.Sources)
	gate := &Gate{reader: reader, records: o.Store}
	usage := &UsageLog{records: o.Store, store: o.Seen, usages: o.Usages, users: o.Users, now: o.Now, log: o.Logger}
	viewer := &Viewer{redirectURL: redirectURL, usage: usage, now: o.Now, log: o.Logger}
	reminders := &Reminders{store: o.Reminders, planned: make(chan struct{}, 1), now: o.Now, log: o.Logger}
	states := &States{records: o.Store, tokens: o.Tokens, reader: reader, connected: o.Connected, now: o.Now, log: o.Logger}
	certificates := &Certificates{transport: o.Transport}
	provider := &Provider{transport: o.Transport, redirectURL: redirectURL, certificates: certificates, now: o.Now}
	tokens := &Tokens{
		store: o.Tokens, records: o.Store, sealer: sealer, reader: reader, states: states, provider: provider,
		process: process, now: o.Now, log: o.Logger,
	}
	throttles := &Throttles{store: o.Limits, records: o.Store, process: process, now: o.Now}
	resolver := &Resolver{
		base: o.Transport, gate: gate, reader: reader, tokens: tokens, provider: provider, states: states, certificates: certificates,
		throttles: throttles, usage: usage, now: o.Now, log: o.Logger,
	}
	prober := &Prober{
		base: o.Transport, reader: reader, resolver: resolver, tokens: tokens, provider: provider, states: states, now: o.Now, log: o.Logger,
	}
	editor := &Editor{
		records: o.Store, reader: reader, sealer: sealer, sources: o.Sources, viewer: viewer, connected: o.Connected, plan: reminders.plan, now: o.Now,
	}
	rotation := &Rotation{editor: editor, gate: gate, reader: reader, sealer: sealer, prober: prober, records: o.Store, now: o.Now}
	fallBacks := &FallBacks{rotation: rotation, editor: editor, reader: reader, prober: prober, records: o.Store, now: o.Now, log: o.Logger}
	resolver.leave = fallBacks.leave
	records := &Records{
		editor: editor, viewer: viewer, usage: usage, reader: reader, records: o.Store, connected: o.Connected, now: o.Now,
		forget: func(id credentials.ID) {
			usage.forget(id)
			tokens.renewals.forget(id)
			resolver.kits.forget(id)
			certificates.identities.forget(id)
			fallBacks.fallBacks.forget(id)
		},
	}
	return &Vault{
		Records: records, Rotation: rotation,
		Checks: &Checks{reader: reader, records: o.Store},
		Tests:  &Tests{prober: prober, editor: editor, gate: gate},
		Connections: &Connections{
			tokens: tokens, provider: provider, store: o.Tokens, sealer: sealer, gate: gate, reader: reader, states: states,
			connected: o.Connected, get: records.Get, now: o.Now,
		},
		Actions:      &Actions{gate: gate, reader: reader, prober: prober, tokens: tokens, rotation: rotation},
		Outputs:      Outputs{sealer},
		Importer:     &Importer{editor: editor, reader: reader, sealer: sealer, records: o.Store, connected: o.Connected, plan: reminders.plan, now: o.Now},
		Verifier:     &Verifier{reader: reader, usage: usage, now: o.Now},
		UsageReports: &UsageReports{log: usage, records: o.Store},
		MasterKey:    &MasterKey{keys: o.Keyset, canary: o.Canary, records: o.Store, log: o.Logger},
		sources:      o.Sources, presets: list, redirectURL: redirectURL,
		rooms: rooms{reader: reader, editor: editor, states: states, tokens: tokens, resolver: resolver, usage: usage, reminders: reminders, log: o.Logger},
	}
}

// Serve writes last uses, keeps idle credentials alive, reminds of those that end and
// re-encrypts after a change of the master key, until ctx is done, and then writes
// what is left of the uses.
func (v *Vault) Serve(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { v.rooms.tokens.serveIdle(ctx) })
	wg.Go(func() { v.serveRotation(ctx) })
	wg.Go(func() { v.rooms.reminders.serveReminders(ctx) })
	defer wg.Wait()
	return v.rooms.usage.serve(ctx)
}

// Close writes what Serve has not written yet.
func (v *Vault) Close(ctx context.Context) error {
	return v.rooms.usage.close(ctx)
}
