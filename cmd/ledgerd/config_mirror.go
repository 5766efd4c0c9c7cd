package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"sideledger/remediators"
)

// A MirrorConfig is one mirror: exactly one of Folder, URL and Command.
type MirrorConfig struct {
	Folder  string   `yaml:"folder"`  // absolute; its parent has to be there: storage that is not mounted is no mirror
	URL     string   `yaml:"url"`     // takes POSTs of JSON lines; a 2xx says that they are durable
	Command []string `yaml:"command"` // a program and its arguments; gets JSON lines on stdin, exit 0 says that they are durable
	// How URL is called, as for a system.
	Credential   string                 `yaml:"credential"`
	Auth         remediators.AuthConfig `yaml:"auth"`
	AllowPrivate bool                   `yaml:"allow_private"`
}

// MirrorConfigs are the mirrors of a ledger. In the file one mirror may stand without the list around it.
type MirrorConfigs []MirrorConfig

// UnmarshalYAML implements [yaml.Unmarshaler].
func (m *MirrorConfigs) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		var one MirrorConfig
		if err := strict(n, &one); err != nil {
			return err
		}
		*m = MirrorConfigs{one}
		return nil
	}
	for _, item := range n.Content {
		var one MirrorConfig
		if err := strict(item, &one); err != nil {
			return err
		}
		*m = append(*m, one)
	}
	return nil
}

// strict decodes a node and refuses names that the type does not have, which a node's own Decode would pass over.
func strict(n *yaml.Node, out *MirrorConfig) error {
	known := map[string]bool{"folder": true, "url": true, "command": true, "credential": true, "auth": true, "allow_private": true}
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if !known[n.Content[i].Value] {
			return fmt.Errorf("line %d: mirror: there is no field %s", n.Content[i].Line, n.Content[i].Value)
		}
	}
	return n.Decode(out)
}

func (m MirrorConfigs) validate() error {
	for i, one := range m {
		if err := one.validate(); err != nil {
			return fmt.Errorf("mirror[%d]: %w", i, err)
		}
	}
	return nil
}

func (m MirrorConfig) validate() error {
	given := 0
	for _, there := range []bool{m.Folder != "", m.URL != "", len(m.Command) > 0} {
		if there {
			given++
		}
	}
	switch {
	case given != 1:
		return errors.New("give one of folder, url and command")
	case m.Folder != "" && !filepath.IsAbs(m.Folder):
		return errors.New("folder: want an absolute path, on other storage than the ledger's own")
	case m.URL == "" && (m.Credential != "" || m.Auth != (remediators.AuthConfig{}) || m.AllowPrivate):
		return errors.New("credential, auth and allow_private go with url")
	case m.URL != "":
		return m.system().Validate("mirror")
	}
	return nil
}

// system is the mirror's URL as the shared outgoing client knows it.
func (m MirrorConfig) system() remediators.SystemConfig {
	return remediators.SystemConfig{
		Remediator: mirrorRemediator, URL: m.URL, Credential: m.Credential, Auth: m.Auth, AllowPrivate: m.AllowPrivate,
	}
}

// noteKey returns the file of the key that heads are signed with.
func (c *Config) noteKey() string {
	if c.NoteKey != "" {
		return c.NoteKey
	}
	if db := c.sqliteFile(); db != "" {
		return db + ".note-key"
	}
	return "ledgerd.note-key"
}

// sideJournal returns the folder that facts are kept in while the ledger is in safe mode.
func (c *Config) sideJournal() string {
	if db := c.sqliteFile(); db != "" {
		return db + ".side"
	}
	return "ledgerd.side"
}
