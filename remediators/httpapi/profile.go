package httpapi

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"

	"sideledger/ledger"
	"sideledger/remediators"
)

//go:embed profiles/*.yaml
var profileFiles embed.FS

// A profile describes the kinds of one third party; it is one YAML file.
type profile struct {
	Name  string                  `yaml:"name"`  // also the file's
	About string                  `yaml:"about"` // what it is, which versions it was tried with
	Kinds map[string]*profileKind `yaml:"kinds"` // names begin with the profile's
	// Headers are those of every call of every kind; a call's own win.
	Headers map[string]any `yaml:"headers"`
	// Whoami is how the third party is asked whether it takes the credential; nil: it cannot be.
	Whoami   *remediators.WhoamiConfig `yaml:"whoami"`
	manifest `yaml:",inline"`
	kinds    map[string]*profileKind // as Kinds, checked
}

// A profileKind is what the profile says for one kind: the fields that an entry of the kind leaves out.
type profileKind struct {
	About     string          `yaml:"about"`
	Resource  profileResource `yaml:"resource"`
	Read      any             `yaml:"read"`
	Guard     any             `yaml:"guard"`
	Async     any             `yaml:"async"`
	Verify    any             `yaml:"verify"`
	Owned     []string        `yaml:"owned"`
	Masked    []string        `yaml:"masked"`
	Volatile  []string        `yaml:"volatile"`
	Unordered []string        `yaml:"unordered"`
	Create    []*variant      `yaml:"create"` // how each action is undone; the first that fits
	Update    []*variant      `yaml:"update"`
	Delete    []*variant      `yaml:"delete"`
	Effects   []*effect       `yaml:"effects"` // calls that make an entry of this kind
	Rehearse  *rehearsal      `yaml:"rehearse"`
	List      *roll           `yaml:"list"` // never nil once it is checked
	docs      documents       // read, guard, async, verify as JSON
	members   []string        // all that a resource may have
	byAction  map[ledger.Action][]*variant
}

// profileResource says what an entry's resource has to hold.
type profileResource struct {
	Key      []string `yaml:"key"`      // the members that name it; without one of them it matches nothing
	Optional []string `yaml:"optional"` // members that some undo needs
}

// A variant is one way to undo an action.
type variant struct {
	Needs      []string             `yaml:"needs"` // members of the resource without which it does not fit
	Reversible ledger.Reversibility `yaml:"reversible"`
	Undo       any                  `yaml:"undo"`
	Unguarded  bool                 `yaml:"unguarded"` // the call goes to another address than the read: the validator says nothing about it
	Once       bool                 `yaml:"once"`      // sent twice it does more than once, whatever its method promises, unless it is guarded
	Warnings   []string             `yaml:"warnings"`
	fitting    `yaml:",inline"`
	undo       json.RawMessage
}

// profileNames lists the profiles there are.
func profileNames() []string {
	files, _ := profileFiles.ReadDir("profiles") // embedded: it is there
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	return names
}

// loadProfile reads one profile strictly: one of ours by its name, one of the operator's by its path.
func loadProfile(name string) (*profile, error) {
	if filepath.IsAbs(name) {
		return readProfile(name)
	}
	readFunc := ours[name]
	if readFunc == nil {
		return nil, fmt.Errorf("there is no profile of this name; there are: %s; one of your own is /path/to/NAME.yaml", strings.Join(profileNames(), ", "))
	}
	return readFunc()
}

// ours reads each of our profiles, once: it is the same for all systems, and nothing changes a profile that was read.
var ours = func() map[string]func() (*profile, error) {
	out := map[string]func() (*profile, error){}
	for _, name := range profileNames() {
		out[name] = sync.OnceValues(func() (*profile, error) {
			raw, err := profileFiles.ReadFile(path.Join("profiles", name+".yaml"))
			if err != nil {
				return nil, err
			}
			return parseProfile(name, raw)
		})
	}
	return out
}()

func parseProfile(name string, raw []byte) (*profile, error) {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	p := &profile{}
	if err := dec.Decode(p); err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	if p.Name != name || p.About == "" || len(p.Kinds) == 0 {
		return nil, fmt.Errorf("profile %s: it needs name (the file's), about and kinds", name)
	}
	if err := p.settled(); err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	if err := p.checkWhoami(); err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	for kind, k := range p.Kinds {
		if k.hollow() {
			return nil, fmt.Errorf("profile %s: kind %s, or a way to undo in it, says nothing", name, kind)
		}
		if !strings.HasPrefix(kind, name+".") {
			return nil, fmt.Errorf("profile %s: kind %s does not begin with the profile's name", name, kind)
		}
		k.addHeaders(p.Headers)
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("profile %s: %s: %w", name, kind, err)
		}
	}
	p.kinds = p.Kinds
	return p, nil
}

// hollow reports whether null stands where a kind or a way to undo should.
func (k *profileKind) hollow() bool {
	return k == nil || slices.Contains(slices.Concat(k.Create, k.Update, k.Delete), nil) || slices.Contains(k.Effects, nil)
}

// check turns the parts into JSON and reads them as if an entry had brought them.
func (k *profileKind) check() error {
	var err error
	keep := func(v any) json.RawMessage {
		if v == nil || err != nil {
			return nil
		}
		var raw []byte
		raw, err = json.Marshal(v)
		return raw
	}
	k.docs = documents{read: keep(k.Read), guard: keep(k.Guard), async: keep(k.Async), verify: keep(k.Verify)}
	k.byAction = map[ledger.Action][]*variant{ledger.ActionCreate: k.Create, ledger.ActionUpdate: k.Update, ledger.ActionDelete: k.Delete}
	k.members = slices.Concat(k.Resource.Key, k.Resource.Optional)
	if len(k.Resource.Key) == 0 || k.Read == nil || k.About == "" {
		return errors.New("it needs about, resource.key and read")
	}
	for action, list := range k.byAction {
		for _, v := range list {
			if v.undo = keep(v.Undo); err != nil {
				return err
			}
			if err := k.checkWay(action, v); err != nil {
				return fmt.Errorf("%s: %w", action, err)
			}
		}
	}
	if k.Rehearse != nil {
		err = errors.Join(err, k.Rehearse.check(k))
	}
	return errors.Join(err, k.checkEffects(), k.checkList())
}

func (k *profileKind) checkEffects() error {
	var bad []error
	for _, x := range k.Effects {
		bad = append(bad, x.check(k))
	}
	return errors.Join(bad...)
}

// checkWay reads one way to undo an action as if an entry had brought it.
func (k *profileKind) checkWay(action ledger.Action, v *variant) error {
	rec, err := k.documents(v).parse(action)
	if err != nil {
		return err
	}
	if !rec.keepsSecrets(false) {
		return errSecretPlace
	}
	if v.undo == nil || !slices.Contains(grades, v.Reversible) {
		return errors.New("each way needs undo and reversible")
	}
	return v.read()
}

var grades = []ledger.Reversibility{
	ledger.ReversibleExact, ledger.ReversibleEquivalent, ledger.ReversibleCompensating, ledger.ReversibleManual, ledger.ReversibleNone,
}

// documents returns the fields for one variant; nil: without an undo.
func (k *profileKind) documents(v *variant) documents {
	docs := k.docs
	if v != nil {
		docs.undo = v.undo
		if v.Unguarded {
			docs.guard = nil
		}
	}
	return docs
}

// choose returns the first way to undo the action for which the resource has everything; nil: none.
func (k *profileKind) choose(action ledger.Action, resource json.RawMessage) *variant {
	for _, v := range k.byAction[action] {
		if !slices.ContainsFunc(v.Needs, func(m string) bool { return !has(resource, m) }) {
			return v
		}
	}
	return nil
}

func has(resource json.RawMessage, member string) bool {
	v, ok := at(resource, []string{member})
	return ok && string(v) != "null"
}

// complete reports whether some way to undo the action fits the resource.
func (k *profileKind) complete(resource json.RawMessage, action ledger.Action) bool {
	return k.choose(action, resource) != nil || len(k.byAction[action]) == 0
}

// lacks names what the resource would need for the least demanding way to undo the action.
func (k *profileKind) lacks(resource json.RawMessage, action ledger.Action) string {
	list := k.byAction[action]
	var missing []string
	for _, m := range list[len(list)-1].Needs {
		if !has(resource, m) {
			missing = append(missing, m)
		}
	}
	return strings.Join(missing, ", ")
}

// checkResource refuses members that the kind does not know and a fact without its key.
func (k *profileKind) checkResource(d *ledger.Draft) error {
	p := &parser{}
	f := p.object("/resource", d.Resource)
	for _, m := range k.members {
		raw := f.raw(m)
		if raw == nil {
			continue
		}
		if _, ok := text(raw); !ok {
			p.fail(f.at(m), "has to be a string or a number")
		}
	}
	f.end()
	for _, m := range k.Resource.Key {
		if !has(d.Resource, m) && d.State != ledger.EntryIntended {
			p.fail(f.at(m), "is missing: it names the resource")
		}
	}
	return p.err
}
