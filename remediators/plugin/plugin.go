package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"

	"sideledger/ledger"
	"sideledger/remediators"
)

// A Remediator serves one system by its plugin. It is safe for concurrent use.
type Remediator struct {
	client *remediators.Client
	config remediators.PluginConfig
	pool   *pool
	system ledger.System
	undos  atomic.Int64 // undos in a row in which the plugin broke down before anything was sent
}

// Factory makes the remediator of a system with remediator: plugin. It starts nothing. It implements
// [remediators.Factory].
func Factory(b remediators.Binding) (ledger.Remediator, error) {
	switch {
	case b.Client == nil:
		return nil, remediators.Fieldf("url", "is missing: where the requests of the plugin go")
	case b.Config.Profile != "":
		return nil, remediators.Fieldf("profile", "belongs to remediator: http")
	case len(b.Config.Commands) > 0:
		return nil, remediators.Fieldf("commands", "belong to remediator: command")
	}
	return &Remediator{client: b.Client, config: b.Config.Plugin.WithDefaults(), pool: newPool(b), system: b.System}, nil
}

// Close ends the plugin's processes, those with a call under way when it is over. It implements [io.Closer].
func (r *Remediator) Close() error {
	r.pool.close()
	return nil
}

// Kinds implements [ledger.Remediator]. A plugin that was not started yet may serve any.
func (r *Remediator) Kinds() []string {
	if _, about := r.pool.known(); about != nil {
		return about.names()
	}
	return []string{""}
}

// Describe implements [ledger.Describer].
func (r *Remediator) Describe(ctx context.Context) (ledger.Description, error) {
	name, about, err := r.pool.description(ctx)
	if err != nil {
		return ledger.Description{SHA256: strings.ToLower(r.config.SHA256)}, plainly(err)
	}
	out := about.public()
	out.Name, out.SHA256 = name, strings.ToLower(r.config.SHA256)
	return out, nil
}

// Check implements [ledger.Remediator]. While the plugin cannot be asked, an intent is refused and may be tried
// again; a fact is taken in with a warning, since it happened.
func (r *Remediator) Check(d *ledger.Draft) (ledger.Grading, error) {
	for field, raw := range map[string]json.RawMessage{"/undo": d.Undo, "/read": d.Read, "/guard": d.Guard, "/async": d.Async, "/verify": d.Verify} {
		if len(raw) > 0 && string(raw) != "null" {
			return ledger.Grading{}, ledger.Invalid(field, "leave it out: the plugin knows how")
		}
	}
	ctx := context.Background() // each line of the plugin is waited for in bounds
	_, about, err := r.pool.description(ctx)
	if err != nil {
		return unchecked(d, plainly(err))
	}
	kind, ok := about.find(d.Kind)
	if !ok {
		return ledger.Grading{}, ledger.Invalid("/kind", "is not served by this system; it serves %s", strings.Join(about.names(), ", "))
	}
	if err := kind.checkResource(d.Resource); err != nil {
		return ledger.Grading{}, err
	}
	dia := r.dialogue(callCheck, &ledger.Entry{Draft: *d}, ledger.Look{})
	s, err := r.hold(ctx, dia)
	switch {
	case err != nil:
		return unchecked(d, plainly(err))
	case s.Error != nil:
		return ledger.Grading{}, ledger.Invalid(clean(s.Error.Field, maxDetail), "%s", dia.detail(s.Error.Message))
	}
	out := ledger.Grading{Reversible: s.Check.Reversible, CanLook: s.Check.CanLook, ResourceKey: s.Check.Key}
	for _, w := range s.Check.Warnings {
		out.Warnings = append(out.Warnings, dia.detail(w))
	}
	if why := r.client.Warning(); why != "" {
		out.Warnings = append(out.Warnings, why)
	}
	return out, nil
}

// unchecked is what is known of a draft that no plugin has seen.
func unchecked(d *ledger.Draft, err error) (ledger.Grading, error) {
	if d.State == ledger.EntryApplied {
		return ledger.Grading{
			Reversible: ledger.ReversibleExact, CanLook: true,
			Warnings: []string{"its plugin could not be asked whether it can be undone: " + err.Error()},
		}, nil
	}
	return ledger.Grading{}, &ledger.Error{Code: ledger.CodeUnavailable, Op: "check an entry", ID: d.ID.String(), Msg: "its plugin cannot be asked just now: " + err.Error(), Err: err}
}

// hold lends a process to a dialogue and holds what the plugin says at its end to the call. The error is a
// breakdown, a [ledger.CallError], or the end of ctx.
func (r *Remediator) hold(ctx context.Context, d *dialogue) (s *said, err error) {
	err = r.pool.with(ctx, d.veil.hide, func(p *process) error {
		s, err = d.run(ctx, p)
		if err == nil && s.Error == nil && !s.fits(d.call, p.protocol) {
			return broke("it answered a call with what belongs to another")
		}
		return err
	})
	return s, err
}

// fits reports whether what was said ends a call, by a plugin that speaks this version.
func (s *said) fits(call string, protocol int) bool {
	switch call {
	case callCheck:
		return s.Check != nil && s.Check.sound(protocol)
	case callLook:
		return s.Look != nil
	case callPreview:
		return s.Preview != nil
	case callUndo:
		return s.Undo != nil
	default:
		return false
	}
}

// plainly turns a breakdown in a call that sends nothing into a [ledger.CallError].
func plainly(err error) error {
	var bad *breakdown
	if errors.As(err, &bad) {
		return &ledger.CallError{Class: ledger.CallAnswered, Detail: "the plugin broke down: " + bad.why}
	}
	var call *ledger.CallError
	if err == nil || errors.As(err, &call) {
		return err
	}
	return interrupted(err)
}
