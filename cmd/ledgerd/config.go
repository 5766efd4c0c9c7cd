package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"sideledger/remediators"
)

// Config is the server's configuration file. Flags override its fields. The zero value is a server on
// loopback that keeps its ledger in one SQLite file in the working directory.
type Config struct {
	Listen      string    `yaml:"listen"`       // host:port; default 127.0.0.1:8420
	Database    string    `yaml:"database"`     // sqlite:FILE or postgres://…; default sqlite:ledger.db
	BehindProxy bool      `yaml:"behind_proxy"` // a proxy in front of it speaks TLS and sets X-Forwarded-For
	TLS         TLSConfig `yaml:"tls"`
	// Reserve is how much space is kept on the disk of an embedded ledger for rollbacks, such as 64MiB; 0: none.
	Reserve string                              `yaml:"reserve"`
	Systems map[string]remediators.SystemConfig `yaml:"systems"`
	Secrets SecretsConfig                       `yaml:"secrets"` // the key of secret fields
	Mirror  MirrorConfigs                       `yaml:"mirror"`  // get every journal record before it is answered; none: none
	// OutsideSnapshot: no snapshot that a window names is restored over this ledger. Without a mirror a window that
	// names a snapshot is refused unless this is said.
	OutsideSnapshot bool      `yaml:"outside_snapshot"`
	NoteKey         string    `yaml:"note_key"` // file of the key that heads are signed with; default: beside the database
	Log             LogConfig `yaml:"log"`      // what is logged, and how
	// Retention is how long finished windows keep their entries after the last thing that happened in them, such as 400d; none: for ever.
	Retention string `yaml:"retention"`

	reserve int64 // bytes; set by lockLedger, since one process alone may keep it
}

// TLSConfig names the files of a certificate and its key. Both or none.
type TLSConfig struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

const (
	defaultListen   = "127.0.0.1:8420"
	defaultDatabase = "sqlite:ledger.db"
	defaultReserve  = "64MiB"
	leastReserve    = 1 << 20
	leastRetention  = 30 * 24 * time.Hour
	manualSystem    = "manual" // the system of steps for people is there without being configured
)

// configFlags are the flags that every subcommand takes.
type configFlags struct {
	file        string
	listen      string
	database    string
	behindProxy bool
}

func (f *configFlags) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&f.file, "config", "", "configuration file (YAML); none: the defaults")
	fs.StringVar(&f.listen, "listen", "", "address to listen on (default "+defaultListen+")")
	fs.StringVar(&f.database, "database", "", "sqlite:FILE or postgres://… (default "+defaultDatabase+")")
	fs.BoolVar(&f.behindProxy, "behind-proxy", false, "a proxy in front of the server speaks TLS: listening beyond loopback is allowed")
}

// load reads the configuration file and puts the flags over it. Errors name the field and the fix.
func (f *configFlags) load() (Config, error) {
	var c Config
	if f.file != "" {
		raw, err := os.ReadFile(f.file)
		if err != nil {
			return c, fmt.Errorf("read configuration: %w", err)
		}
		if err := c.read(raw); err != nil {
			return c, fmt.Errorf("configuration %s: %w", f.file, err)
		}
	}
	override(&c.Listen, f.listen, defaultListen)
	override(&c.Database, f.database, defaultDatabase)
	override(&c.Reserve, "", defaultReserve)
	c.BehindProxy = c.BehindProxy || f.behindProxy
	if c.Systems == nil {
		c.Systems = map[string]remediators.SystemConfig{}
	}
	if _, ok := c.Systems[manualSystem]; !ok {
		c.Systems[manualSystem] = remediators.SystemConfig{Remediator: "manual"}
	}
	return c, c.validate()
}

// goType is how the decoder says that a name is not known, by the type that lacks it.
var goType = regexp.MustCompile(`(field \S+) not found in type \S+`)

// read reads the text of a configuration file; an empty one says nothing.
func (c *Config) read(raw []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	err := dec.Decode(c)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return errors.New(goType.ReplaceAllString(err.Error(), "$1 is no name of this place"))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one document in it")
	}
	return nil
}

func override(field *string, flag, fallback string) {
	if flag != "" {
		*field = flag
	}
	if *field == "" {
		*field = fallback
	}
}

func (c *Config) validate() error {
	host, port, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil || port == "":
		return fmt.Errorf("listen: want HOST:PORT, such as %s", defaultListen)
	case (c.TLS.Cert == "") != (c.TLS.Key == ""):
		return errors.New("tls: give cert and key, or neither")
	case !loopback(host) && c.TLS.Cert == "" && !c.BehindProxy:
		return errors.New("listen: this address is reachable from other machines and tokens would travel in clear text: give tls.cert and tls.key, or --behind-proxy if a proxy in front speaks TLS")
	case !strings.HasPrefix(c.Database, "sqlite:") && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://"):
		return errors.New("database: want sqlite:FILE or postgres://…")
	}
	if _, err = c.reserveBytes(); err != nil {
		return err
	}
	if _, err = c.retention(); err != nil {
		return err
	}
	return errors.Join(c.Secrets.validate(), c.Mirror.validate(), c.Log.validate())
}

// retention reads Retention; 0: for ever.
func (c *Config) retention() (time.Duration, error) {
	if c.Retention == "" {
		return 0, nil
	}
	d, err := parseAge(c.Retention)
	if err != nil || d < leastRetention {
		return 0, errors.New("retention: want a time of at least 30d, such as 400d; leave it out to keep everything")
	}
	return d, nil
}

// parseAge reads days, such as 400d, or a duration of Go.
func parseAge(s string) (time.Duration, error) {
	days, ok := strings.CutSuffix(s, "d")
	if !ok {
		return time.ParseDuration(s)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	return time.Duration(n) * 24 * time.Hour, err
}

// reserveBytes reads Reserve.
func (c *Config) reserveBytes() (int64, error) {
	n, err := humanize.ParseBytes(c.Reserve)
	if err != nil || n > math.MaxInt64 || n > 0 && n < leastReserve {
		return 0, errors.New("reserve: want a size of at least 1MiB, such as 64MiB, or 0 for none")
	}
	return int64(n), nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// sqliteFile returns the file of an embedded ledger, and "" for PostgreSQL.
func (c *Config) sqliteFile() string {
	file, ok := strings.CutPrefix(c.Database, "sqlite:")
	if !ok {
		return ""
	}
	return file
}
