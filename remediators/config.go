package remediators

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"sideledger/ledger"
)

// A SystemConfig is one third party as the server's configuration file describes it.
type SystemConfig struct {
	Remediator   string                   `yaml:"remediator"`    // which one: http, alertmanager, unleash, powerdns, etcd, ssm, vaultkv, route53, command, manual, plugin
	Profile      string                   `yaml:"profile"`       // http only: the profile that describes its kinds, by name or as /path/to/NAME.yaml; empty: none
	URL          string                   `yaml:"url"`           // address, with the base path of every call; empty for manual and command
	Credential   string                   `yaml:"credential"`    // env:NAME or file:/path, read at the moment of use; empty: none
	Auth         AuthConfig               `yaml:"auth"`          // how the credential is presented
	Credentials  map[string]string        `yaml:"credentials"`   // further ones, by the header that carries each; references as credential
	Secrets      map[string]string        `yaml:"secrets"`       // http and ssm: secrets that an undo writes back, by name; references as credential
	AllowPrivate bool                     `yaml:"allow_private"` // loopback, private, unique-local and shared addresses may be dialled
	Allow        []string                 `yaml:"allow"`         // "METHOD /path*", relative to URL; empty: everything below it
	Effects      []string                 `yaml:"effects"`       // calls of scripts that are made for them, as Allow and inside it; empty: none
	Retry        RetryConfig              `yaml:"retry"`
	Rate         RateConfig               `yaml:"rate"`
	Guard        GuardConfig              `yaml:"guard"`
	Whoami       *WhoamiConfig            `yaml:"whoami"`    // how it is asked about the credential; absent: as its profile says, if it does
	Rehearse     RehearseConfig           `yaml:"rehearse"`  // where a rehearsal makes its canaries
	Disabled     bool                     `yaml:"disabled"`  // entries stay, nothing is sent
	Commands     map[string]CommandConfig `yaml:"commands"`  // command only: what may be run, by name
	DNSUpdate    DNSUpdateConfig          `yaml:"dnsupdate"` // powerdns only: where its name server takes updates
	Plugin       *PluginConfig            `yaml:"plugin"`    // plugin only: the executable that serves it
}

// AuthConfig says how a credential is presented to a third party.
type AuthConfig struct {
	// Scheme is bearer (the default), basic (the credential is user:password), header, hmac, sigv4
	// (the credential is AKID:SECRET or AKID:SECRET:TOKEN) or azure (ID:SECRET, or a connection string).
	Scheme  string `yaml:"scheme"`
	Name    string `yaml:"name"`    // header, hmac: the header's name; header needs it, hmac defaults to X-Signature
	Prefix  string `yaml:"prefix"`  // header: what stands before the credential, its space included
	Region  string `yaml:"region"`  // sigv4
	Service string `yaml:"service"` // sigv4
}

// RetryConfig is the pace of retries at one system; see [ledger.Backoff]. Zero values have defaults.
type RetryConfig struct {
	Base     time.Duration `yaml:"base"`     // default 500 ms
	Cap      time.Duration `yaml:"cap"`      // default 30 s; also how long the breaker stays open
	Attempts int           `yaml:"attempts"` // answers burnt on one entry before it is stuck; default 8
}

// RateConfig paces one system. The zero value is unpaced.
type RateConfig struct {
	PerSecond  float64 `yaml:"per_second"` // calls started in a second, evenly spaced; 0: as many as there are; else at least 0.01
	Concurrent int     `yaml:"concurrent"` // calls under way at once; 0: as many as there are
}

// GuardConfig says what a run does not do at one system without an operator's second word; see [ledger.Guard].
type GuardConfig struct {
	Deletions *int        `yaml:"deletions_per_minute"` // absent: 60; 0: as many as there are
	Share     float64     `yaml:"share"`                // of what the system holds, between 0 and 1; 0: all of it
	Held      *HeldConfig `yaml:"held"`                 // http only; share needs it
}

// HeldConfig says where a system tells what it holds: the members of a list or an object in the answer to a GET.
type HeldConfig struct {
	Path    string `yaml:"path"`    // relative to url
	Pointer string `yaml:"pointer"` // JSON pointer to the list or object; empty: the whole answer
}

// defaultDeletions is how many undos may delete at one system within a minute.
const defaultDeletions = 60

func (c GuardConfig) guard() ledger.Guard {
	g := ledger.Guard{Deletions: defaultDeletions, Share: c.Share}
	if c.Deletions != nil {
		g.Deletions = *c.Deletions
	}
	return g
}

func (c GuardConfig) validate(add func(field, msg string)) {
	if c.Deletions != nil && *c.Deletions < 0 {
		add("guard.deletions_per_minute", "is at least 0, which means as many as there are; leave it out for 60")
	}
	if c.Share < 0 || c.Share > 1 {
		add("guard.share", "is a part of the whole, between 0 and 1")
	}
	if c.Share > 0 && c.Held == nil {
		add("guard.held", "share needs to know what the system holds: {path: /list, pointer: /items}")
	}
	if c.Held != nil {
		if err := CheckPath(c.Held.Path); err != nil {
			add("guard.held.path", err.Error())
		}
	}
}

// CommandConfig is one command that entries may name.
type CommandConfig struct {
	Argv      []string      `yaml:"argv"`       // what is run; never through a shell
	Read      []string      `yaml:"read"`       // what reads the resource; empty: it cannot be looked at
	Env       []string      `yaml:"env"`        // names of variables that are passed on, besides PATH
	Timeout   time.Duration `yaml:"timeout"`    // of an undo, and of a look unless ReadTimeout says otherwise; default 30 s
	MemoryMiB int           `yaml:"memory_mib"` // default 512

	ReadTimeout time.Duration `yaml:"read_timeout"` // default: Timeout, at most an hour
	// Repeatable: running the undo twice does no more than running it once, also after one that broke off half way.
	Repeatable bool `yaml:"repeatable"`
}

// A Warning is something about a system that works at start and will not work at three in the morning.
type Warning struct {
	System string
	Field  string // "url"; together they read systems.NAME.FIELD
	Text   string
}

// String names the field and says what is wrong with it.
func (w Warning) String() string { return "systems." + w.System + "." + w.Field + ": " + w.Text }

// A FieldError says which field of a system's configuration is wrong and how to put it right.
type FieldError struct {
	System string // filled in by the registry
	Field  string // "auth.scheme"
	Msg    string
}

// Error names the field as systems.NAME.FIELD.
func (e *FieldError) Error() string {
	return strings.TrimSuffix("systems."+e.System+"."+e.Field, ".") + ": " + e.Msg
}

// Fieldf makes a [FieldError] for the system that is being bound.
func Fieldf(field, format string, args ...any) error {
	return &FieldError{Field: field, Msg: fmt.Sprintf(format, args...)}
}

// A Factory makes the remediator of one system. It makes no calls. An error is a [FieldError] and
// refuses the configuration.
type Factory func(b Binding) (ledger.Remediator, error)

// A Binding is everything a remediator may know of its system.
type Binding struct {
	System ledger.System
	Config SystemConfig
	Client *Client  // nil when the system has no URL
	Update *Updater // nil when the system names no name server that takes updates
	Lane   *Lane
	Clock  ledger.Clock
	Log    *slog.Logger
	Getenv func(string) string // the server's environment, for what the configuration names
}

// backoff returns the retry constants with their defaults.
func (c RetryConfig) backoff() ledger.Backoff {
	b := ledger.Backoff{Base: c.Base, Cap: c.Cap}
	if b.Base == 0 {
		b.Base = 500 * time.Millisecond
	}
	if b.Cap == 0 {
		b.Cap = max(30*time.Second, b.Base)
	}
	return b
}

func (c RetryConfig) attempts() int {
	if c.Attempts == 0 {
		return 8
	}
	return c.Attempts
}

// system returns what the domain may know of a system: no credential, no limits.
func (c SystemConfig) system(name string) ledger.System {
	return ledger.System{
		Name: name, Remediator: c.Remediator, Profile: c.Profile, URL: strings.TrimRight(c.URL, "/"),
		Effects: slices.Clone(c.Effects), Place: c.Rehearse.place(), Disabled: c.Disabled, Attempts: c.Retry.attempts(), Backoff: c.Retry.backoff(), Guard: c.Guard.guard(),
	}
}
