package remediators

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"

	"sideledger/ledger"
)

// Options are what a [Registry] is made from. Every field is required; Systems may be empty.
type Options struct {
	Systems   map[string]SystemConfig
	Factories map[string]Factory // by the name that a system's remediator field holds
	Clock     ledger.Clock
	Log       *slog.Logger
	Getenv    func(string) string // where env: references are looked up at the moment of use
	// DialFunc opens connections in place of the network: a simulated third party. nil, as in every server:
	// a dialer that checks each address after it was resolved.
	DialFunc DialFunc
	// Descriptions say of built-in remediators, by name, what they do not say themselves; nil: nothing.
	Descriptions map[string]ledger.Description
}

// A DialFunc opens a connection, as [net.Dialer.DialContext] does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// A Registry holds the configured systems, each bound to its remediator. It is safe for concurrent use.
type Registry struct {
	factories map[string]Factory
	clock     ledger.Clock
	log       *slog.Logger
	getenv    func(string) string
	dial      DialFunc // nil: the network
	about     map[string]ledger.Description

	mu    sync.RWMutex
	bound map[string]*bound
	turns ledger.Turns // nil: this process has the limits to itself
}

// bound is one system with everything that belongs to it.
type bound struct {
	system     ledger.System
	remediator *sheltered
	lane       *Lane
	client     *Client // nil without a URL
}

// NewRegistry validates the configuration and binds every system. It makes no calls. The warnings name
// what will be refused when it is tried; the error joins a [FieldError] for every mistake.
func NewRegistry(o Options) (*Registry, []Warning, error) {
	r := &Registry{factories: o.Factories, clock: o.Clock, log: o.Log, getenv: o.Getenv, dial: o.DialFunc, about: o.Descriptions, bound: map[string]*bound{}}
	warnings, err := r.Update(o.Systems)
	if err != nil {
		return nil, nil, err
	}
	return r, warnings, nil
}

// Update replaces the configuration while calls are made: all of it or, with an error, nothing. A system
// that stays keeps the condition of its lane; one with another url or credential starts afresh.
func (r *Registry) Update(systems map[string]SystemConfig) ([]Warning, error) {
	var (
		bad      []error
		warnings []Warning
		next     = map[string]*bound{}
		apply    []func()
	)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(systems)) {
		c := systems[name]
		if err := c.Validate(name); err != nil {
			bad = append(bad, err)
			continue
		}
		b, err := r.bind(name, c, r.bound[name])
		if err != nil {
			bad = append(bad, err)
			continue
		}
		next[name] = b
		apply = append(apply, func() { b.lane.configure(c) })
		warnings = append(warnings, c.warnings(name)...)
	}
	if len(bad) > 0 {
		return nil, errors.Join(bad...)
	}
	for _, f := range apply {
		f()
	}
	for name, old := range r.bound {
		if next[name] == nil || next[name].client != old.client {
			old.client.close()
		}
		old.remediator.close()
	}
	r.bound = next
	return warnings, nil
}

// Share lets the limits of all systems, now and after every Update, hold over the processes that share turns. It is called before
// the first call is made.
func (r *Registry) Share(turns ledger.Turns) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turns = turns
	for _, b := range r.bound {
		b.lane.share(turns)
	}
}

// bind makes one system; old is what stood under its name before, or nil.
func (r *Registry) bind(name string, c SystemConfig, old *bound) (*bound, error) {
	factory, ok := r.factories[c.Remediator]
	if !ok {
		known := strings.Join(slices.Sorted(maps.Keys(r.factories)), ", ")
		return nil, &FieldError{System: name, Field: "remediator", Msg: "there is none of this name; there are: " + known}
	}
	b := &bound{system: c.system(name)}
	if old != nil && old.same(c) {
		b.lane = old.lane
	} else {
		b.lane = newLane(name, r.clock, r.log, c)
	}
	if c.URL != "" {
		base, _ := url.Parse(c.URL) // Validate has parsed it
		b.client = newClient(b.lane, base, c, clientEnv{getenv: r.getenv, dial: r.dial})
	}
	b.lane.share(r.turns)
	var updater *Updater
	if c.DNSUpdate.Address != "" {
		updater = newUpdater(b.lane, c, clientEnv{getenv: r.getenv, dial: r.dial})
	}
	made, err := factory(Binding{
		System: b.system, Config: c, Client: b.client, Update: updater, Lane: b.lane, Clock: r.clock, Log: r.log, Getenv: r.getenv,
	})
	b.remediator = &sheltered{inner: made, client: b.client, whoami: whoamiOf(c, made), log: r.log, system: name, about: r.about[c.Remediator]}
	var field *FieldError
	if errors.As(err, &field) {
		field.System = name
	}
	return b, err
}

// same reports whether a new configuration is still about the same third party and the same credential.
func (b *bound) same(c SystemConfig) bool {
	if b.client == nil || c.URL == "" {
		return b.client == nil && c.URL == ""
	}
	return b.client.base.String() == c.URL && b.client.credential == c.Credential && b.client.auth == c.Auth && maps.Equal(b.client.more, c.Credentials)
}

// Find implements [ledger.Systems].
func (r *Registry) Find(name string) (ledger.System, ledger.Remediator, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	b, ok := r.bound[name]
	if !ok {
		return ledger.System{}, nil, ledger.NotFound("system", name)
	}
	return b.system, b.remediator, nil
}

// List implements [ledger.Systems].
func (r *Registry) List() []ledger.SystemStatus {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]ledger.SystemStatus, 0, len(r.bound))
	for _, name := range slices.Sorted(maps.Keys(r.bound)) {
		out = append(out, r.bound[name].lane.status(r.bound[name].system))
	}
	return out
}

// Park implements [ledger.Systems]. A system that is not there is left alone.
func (r *Registry) Park(name string, parked bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if b, ok := r.bound[name]; ok {
		b.lane.park(parked)
		r.log.InfoContext(context.Background(), "system parked or released", "system", name, "state", parkState(parked))
	}
}

func parkState(parked bool) string {
	if parked {
		return "parked"
	}
	return "released"
}

// Close gives idle connections back, and ends what remediators keep running. Calls under way end by themselves.
func (r *Registry) Close() {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, b := range r.bound {
		b.client.close()
		b.remediator.close()
	}
}
