package httpapi

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A manifest is what a profile says of itself to people. The page about it is made from it.
type manifest struct {
	Title  string   `yaml:"title"`  // the third party, and what of it
	Behind string   `yaml:"behind"` // what the tests run it against: see behinds
	Tried  string   `yaml:"tried"`  // which version of that
	System string   `yaml:"system"` // a system of the configuration, as YAML
	Limits string   `yaml:"limits"` // how it limits calls, and what to set for that
	Notes  []string `yaml:"notes"`  // what an operator should know
	Lost   []string `yaml:"lost"`   // what never comes back
}

// behinds are the values of behind.
var behinds = []string{"fixtures", "vendor's mock", "real server"}

// settled holds those who say something to saying it in the known words.
func (m manifest) settled() error {
	if m.Behind != "" && !slices.Contains(behinds, m.Behind) {
		return fmt.Errorf("behind is one of %s", strings.Join(behinds, ", "))
	}
	return nil
}

// maxProfile is the longest profile that is read from a file, in bytes.
const maxProfile = 256 << 10

// readProfile reads a profile that an operator keeps in a file; its name is the file's.
func readProfile(file string) (*profile, error) {
	name, yaml := strings.CutSuffix(filepath.Base(file), ".yaml")
	if !yaml {
		return nil, errors.New("is the path of a profile, which ends in .yaml")
	}
	f, err := os.Open(file) //nolint:gosec // the path stands in the server's own configuration
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxProfile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxProfile {
		return nil, errors.New("is longer than 256 KiB")
	}
	return parseProfile(name, raw)
}

// addHeaders gives the kind's calls those of the profile.
func (k *profileKind) addHeaders(headers map[string]any) {
	if len(headers) == 0 {
		return
	}
	add := func(call any) {
		m, ok := call.(map[string]any)
		if !ok {
			return // it is refused when it is read
		}
		own, _ := m["headers"].(map[string]any)
		all := maps.Clone(headers)
		maps.Copy(all, own)
		m["headers"] = all
	}
	add(k.Read)
	for _, v := range slices.Concat(k.Create, k.Update, k.Delete) {
		add(v.Undo)
	}
}
