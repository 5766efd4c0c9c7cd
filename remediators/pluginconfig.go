package remediators

import (
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// A PluginConfig names the executable behind a system with remediator: plugin, and bounds it.
type PluginConfig struct {
	Path   string `yaml:"path"`   // absolute; it is copied, checked and run as the copy
	SHA256 string `yaml:"sha256"` // of the file, 64 hexadecimal digits; another file is never run

	Timeout   time.Duration `yaml:"timeout"`    // for each line that it is waited for; default 10 s, at most 1 m
	MemoryMiB int           `yaml:"memory_mib"` // of each of its processes; default 256
	// Reads are calls besides GET and HEAD that change nothing, as "METHOD /path*": searches by POST. A look may
	// make them.
	Reads []string `yaml:"reads"`
	// Folders that it may read besides those of the system, absolute: where its interpreter lives.
	Folders []string `yaml:"folders"`
	// Unconfined: run it also where the system cannot keep it from files, sockets and other processes.
	Unconfined bool `yaml:"unconfined"`
}

const (
	defaultPluginTimeout = 10 * time.Second
	longestPluginTimeout = time.Minute
	defaultPluginMemory  = 256
)

var hexSHA256 = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

// WithDefaults returns the configuration with what was left out.
func (c PluginConfig) WithDefaults() PluginConfig {
	if c.Timeout == 0 {
		c.Timeout = defaultPluginTimeout
	}
	if c.MemoryMiB == 0 {
		c.MemoryMiB = defaultPluginMemory
	}
	return c
}

// IsRead reports whether a call changes nothing, by what HTTP says of its method or by what the operator says of it.
func (c PluginConfig) IsRead(call Call) bool {
	return !call.changing() || slices.ContainsFunc(c.Reads, func(s string) bool {
		p, err := parsePattern(s)
		return err == nil && p.allows(call.Method, call.Path)
	})
}

func (c SystemConfig) validatePlugin(add func(field, msg string)) {
	p := c.Plugin
	switch {
	case (p == nil) == (c.Remediator != "plugin"):
	case p == nil:
		add("plugin", "is missing: {path: /opt/x/plugin, sha256: ...}")
	default:
		add("plugin", "belongs to remediator: plugin")
	}
	if p != nil {
		p.validate(add)
	}
}

func (c *PluginConfig) validate(add func(field, msg string)) {
	if !filepath.IsAbs(c.Path) {
		add("plugin.path", "is the absolute path of an executable")
	}
	if !hexSHA256.MatchString(c.SHA256) {
		add("plugin.sha256", "is what `sha256sum` prints for the file: 64 hexadecimal digits")
	}
	if c.Timeout < 0 || c.Timeout > longestPluginTimeout {
		add("plugin.timeout", "is at most 1m; leave it out for 10s")
	}
	if c.MemoryMiB < 0 {
		add("plugin.memory_mib", "is at least 1; leave it out for 256")
	}
	for _, r := range c.Reads {
		if _, err := parsePattern(r); err != nil {
			add("plugin.reads", err.Error())
		}
	}
	if slices.ContainsFunc(c.Folders, func(f string) bool { return !filepath.IsAbs(f) || filepath.Clean(f) == "/" }) {
		add("plugin.folders", "are absolute paths of folders, and not of all")
	}
}
