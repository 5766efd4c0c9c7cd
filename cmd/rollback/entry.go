package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sideledger/api/wire"
)

// defaultPerform is how long an intent may take to become an effect when the script does not say.
const defaultPerform = time.Minute

// entryFlags are the flags that say what is recorded.
type entryFlags struct {
	window string
	draft  wire.EntryDraft
	json   map[string]*string // flags that hold JSON
}

// jsonFlags are the members of an entry that are JSON.
var jsonFlags = []struct{ name, usage string }{
	{"resource", "the resource, as a JSON object"},
	{"before", "the image before the effect; null: it was not there"},
	{"after", "the image after the effect; null: it is gone"},
	{"undo", "the recipe to undo it, where the kind needs one"},
	{"read", "how to look at it, where the kind needs that"},
	{"guard", "conditional write"},
	{"async", "how to wait for an effect that is accepted first"},
	{"verify", "how long to look after the undo"},
}

// AddFlags adds the flags to a command.
func (e *entryFlags) AddFlags(cmd *cobra.Command) {
	f, d := cmd.Flags(), &e.draft
	f.StringVar(&e.window, "window", "", "`ID` of the window (ROLLBACK_WINDOW)")
	f.StringVar(&d.ID, "id", "", "the entry's id, a UUIDv7 of your own; default: a new one")
	f.StringVar(&d.System, "system", "", "`NAME` of the third party, as the server knows it")
	f.StringVar(&d.Kind, "kind", "", "`KIND` of side effect: http.request, caddy.route")
	f.StringVar(&d.Action, "action", "", "create, update or delete")
	e.json = map[string]*string{}
	for _, j := range jsonFlags {
		e.json[j.name] = f.String(j.name, "", j.usage+" (`JSON`, @FILE, or - for stdin)")
	}
	f.BoolVar(&d.Capture, "capture", false, "the server takes the images before and after itself")
	f.StringVar(&d.State, "state", "", "intended (default), or applied: the effect is there already")
	f.StringVar(&d.PerformWithin, "perform-within", "", "how long the intent may take to become an effect, as `D` (60s)")
	f.StringVar(&d.OnRollback, "on-rollback", "", "undo (default), or retain: a protection that a rollback leaves alone")
	f.StringSliceVar(&d.DependsOn, "depends-on", nil, "`IDS` of entries that must not be undone before this one")
	f.StringArrayVar(&d.Owned, "owned", nil, "JSON `POINTER` to a field that the entry owns (repeatable)")
	f.StringArrayVar(&d.Masked, "masked", nil, "JSON `POINTER` to a field that the third party never shows (repeatable)")
	f.StringArrayVar(&d.Volatile, "volatile", nil, "JSON `POINTER` to a field that changes by itself (repeatable)")
	f.StringArrayVar(&d.Unordered, "unordered", nil, "JSON `POINTER` to a list whose order means nothing (repeatable)")
	f.StringArrayVar(&d.Secret, "secret", nil, "JSON `POINTER` to a field whose value is kept as ciphertext and never shown (repeatable)")
	f.StringVar(&d.Reversible, "reversible", "", "exact, equivalent, compensating, manual or none; default: as the remediator grades it")
	f.BoolVar(&d.BeforeRestore, "before-restore", false, "take it back while the upgraded machine still stands, before its snapshot is restored")
	f.StringVar(&d.Tag, "tag", "", "a name to select it by")
	f.StringVar(&d.Note, "note", "", "one sentence for people")
	f.StringVar(&d.Source, "source", "", "where in the script: upgrade.sh:212")
}

// read returns the entry with its id, from the flags.
func (e *entryFlags) read(cmd *cobra.Command, in *inputs) (wire.EntryDraft, error) {
	d := e.draft
	for name, required := range map[string]string{"system": d.System, "kind": d.Kind, "action": d.Action} {
		if required == "" {
			return d, fmt.Errorf("--%s is required\nsee `%s --help`", name, cmd.CommandPath())
		}
	}
	return e.readLoose(cmd, in)
}

// readLoose is read for an entry of which the server may know what the flags do not say.
func (e *entryFlags) readLoose(cmd *cobra.Command, in *inputs) (wire.EntryDraft, error) {
	d := e.draft
	targets := map[string]*json.RawMessage{
		"resource": &d.Resource, "before": &d.Before, "after": &d.After, "undo": &d.Undo, "read": &d.Read,
		"guard": &d.Guard, "async": &d.Async, "verify": &d.Verify,
	}
	for _, j := range jsonFlags {
		if !cmd.Flags().Changed(j.name) {
			continue
		}
		raw, err := in.json(j.name, *e.json[j.name])
		if err != nil {
			return d, err
		}
		*targets[j.name] = raw
	}
	if d.PerformWithin != "" {
		if w, err := time.ParseDuration(d.PerformWithin); err != nil || w <= 0 {
			return d, errors.New("--perform-within takes a duration such as 60s")
		}
	}
	var err error
	if d.ID == "" {
		d.ID, err = newID()
	} else {
		d.ID, err = checkID("entry", d.ID)
	}
	return d, err
}

// within returns how long the intent may take to become an effect.
func within(d *wire.EntryDraft) time.Duration {
	if w, err := time.ParseDuration(d.PerformWithin); err == nil {
		return w
	}
	return defaultPerform
}

// checkOffline refuses what a server would refuse later, when nobody is there to mend it: it is asked
// before an entry goes into a file.
func checkOffline(d *wire.EntryDraft) error {
	switch {
	case len(d.Secret) > 0:
		return errors.New("--secret needs a server that answers: this host has no key, and a secret value is never written into a file in plain. Record it once the ledger can be reached")
	case d.Capture:
		return errors.New("--capture needs a server that answers: it takes the image before the command runs. Say --before and --after instead")
	case len(d.Resource) == 0 || d.Resource[0] != '{':
		return errors.New("--resource must be an object that names the resource")
	case !slices.Contains([]string{"", "intended", "applied"}, d.State):
		return errors.New("--state takes intended or applied")
	case !slices.Contains([]string{"", "undo", "retain"}, d.OnRollback):
		return errors.New("--on-rollback takes undo or retain")
	case !slices.Contains([]string{"", "exact", "equivalent", "compensating", "manual", "none"}, d.Reversible):
		return errors.New("--reversible takes exact, equivalent, compensating, manual or none")
	}
	return checkImages(d)
}

// checkImages holds the images to the action.
func checkImages(d *wire.EntryDraft) error {
	before, after := string(d.Before), string(d.After) // empty: not said
	switch d.Action {
	case "create":
		if before != "null" || after == "null" {
			return errors.New("a create says --before null, and leaves something behind")
		}
	case "update":
		if before == "null" || after == "null" {
			return errors.New("an update changes what was there: neither image is null")
		}
	case "delete":
		unsaid := after == "" && d.State != "applied"
		if before == "null" || after != "null" && !unsaid {
			return errors.New("a delete removes what was there: --after null, and --before is not null")
		}
	default:
		return errors.New("--action takes create, update or delete")
	}
	return nil
}
