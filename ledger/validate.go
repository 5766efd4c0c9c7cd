package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Limits of what may be recorded.
const (
	DefaultPerform = time.Minute    // perform_within, when the script does not say
	MaxPerform     = 24 * time.Hour // longest perform_within
	MaxBatch       = 1000           // entries in one batch
	maxDepends     = 1000
	maxPointers    = 200
	maxName        = 200
	maxText        = 4096
)

// normalize fills in defaults and checks what can be checked without the store or a third party.
func (d *Draft) normalize() error {
	for _, check := range []func(*Draft) error{checkID, checkTexts, checkChoices, checkImages, checkPointers, checkBeforeRestore, checkSecrets} {
		if err := check(d); err != nil {
			return err
		}
	}
	return nil
}

func checkID(d *Draft) error {
	switch {
	case d.ID == uuid.Nil:
		d.ID = NewID()
	case d.ID.Version() != 7:
		return Invalid("/id", "want a UUIDv7, or leave it out")
	}
	if len(d.DependsOn) > maxDepends {
		return Invalid("/depends_on", "at most %d entries", maxDepends)
	}
	return nil
}

func checkTexts(d *Draft) error {
	for _, f := range []struct {
		name, value string
		required    bool
		max         int
	}{
		{"/system", d.System, true, maxName},
		{"/kind", d.Kind, true, maxName},
		{"/tag", d.Tag, false, maxName},
		{"/note", d.Note, false, maxText},
		{"/source", d.Source, false, maxText},
	} {
		if err := checkText(f.name, f.value, f.required, f.max); err != nil {
			return err
		}
	}
	return nil
}

func checkText(field, value string, required bool, limit int) error {
	switch {
	case required && value == "":
		return Invalid(field, "is required")
	case utf8.RuneCountInString(value) > limit: // in characters, as the API's schema counts
		return Invalid(field, "is longer than %d characters", limit)
	case strings.ContainsRune(value, 0) || !utf8.ValidString(value):
		return Invalid(field, "has a NUL byte or is not UTF-8")
	}
	return nil
}

func checkChoices(d *Draft) error {
	switch d.Action {
	case ActionCreate, ActionUpdate, ActionDelete:
	default:
		return Invalid("/action", "want create, update or delete")
	}
	switch d.State {
	case "":
		d.State = EntryIntended
	case EntryIntended, EntryApplied:
	case EntryVoid, EntryUndoing, EntryUndone, EntryStuck, EntryWaived:
		return Invalid("/state", "want intended or applied; the ledger makes the other states")
	default:
		return Invalid("/state", "want intended or applied")
	}
	switch d.OnRollback {
	case "":
		d.OnRollback = OnRollbackUndo
	case OnRollbackUndo, OnRollbackRetain:
	default:
		return Invalid("/on_rollback", "want undo or retain")
	}
	switch d.Reversible {
	case "", ReversibleExact, ReversibleEquivalent, ReversibleCompensating, ReversibleManual, ReversibleNone:
	default:
		return Invalid("/reversible", "want exact, equivalent, compensating, manual or none")
	}
	switch {
	case d.Perform == 0:
		d.Perform = DefaultPerform
	case d.Perform < 0 || d.Perform > MaxPerform:
		return Invalid("/perform_within", "want more than 0s and at most %s", MaxPerform)
	}
	return nil
}

// checkImages holds the images to the action.
func checkImages(d *Draft) error {
	if len(d.Resource) == 0 || d.Resource[0] != '{' {
		return Invalid("/resource", "want an object that names the resource")
	}
	if d.Capture && d.State == EntryIntended && d.Before.Known() && !d.Before.IsAbsent() {
		return Invalid("/before", "leave it out: capture takes it")
	}
	switch d.Action {
	case ActionCreate:
		return checkCreate(d)
	case ActionUpdate:
		return checkUpdate(d)
	case ActionDelete:
		return checkDelete(d)
	default:
		return Invalid("/action", "want create, update or delete")
	}
}

func checkCreate(d *Draft) error {
	if d.Before.Known() && !d.Before.IsAbsent() || !d.Before.Known() && !d.Capture {
		return Invalid("/before", "a create states null, as the resource was not there; or use capture")
	}
	if d.After.IsAbsent() {
		return Invalid("/after", "a create leaves something behind; null says that nothing is there")
	}
	return nil
}

func checkUpdate(d *Draft) error {
	if d.Before.IsAbsent() {
		return Invalid("/before", "an update changes what was there; for a new resource the action is create")
	}
	if d.After.IsAbsent() {
		return Invalid("/after", "an update leaves something behind; for a removal the action is delete")
	}
	return nil
}

func checkDelete(d *Draft) error {
	if d.Before.IsAbsent() {
		return Invalid("/before", "a delete removes what was there; null says that nothing was")
	}
	said := d.After.Known() || d.State == EntryIntended || d.Capture
	if !said || d.After.Known() && !d.After.IsAbsent() {
		return Invalid("/after", "a delete states null, as the resource is gone")
	}
	return nil
}

func checkPointers(d *Draft) error {
	for _, l := range []struct {
		name string
		list []string
	}{{"/owned", d.Owned}, {"/masked", d.Masked}, {"/volatile", d.Volatile}, {"/unordered", d.Unordered}, {"/secret", d.Secret}} {
		if len(l.list) > maxPointers {
			return Invalid(l.name, "at most %d pointers", maxPointers)
		}
		for i, p := range l.list {
			if !checkPointer(p) {
				return Invalid(fmt.Sprintf("%s/%d", l.name, i), "want a JSON pointer: empty, or beginning with /")
			}
		}
	}
	return nil
}

// imageWarnings says which images are simply not there, and what that means at 03:00.
func (d *Draft) imageWarnings() []string {
	var out []string
	if !d.Before.Known() {
		out = append(out, "before is unknown: an undo cannot be checked against it")
	}
	if !d.After.Known() && d.State == EntryApplied {
		out = append(out, "after is unknown: a change by somebody else cannot be told from this one, so a person will be asked")
	}
	if blindDraft(d) {
		out = append(out, detailBlind+"; a rollback will be blocked")
	}
	return out
}

// blindDraft reports whether nothing of the entry could ever be compared.
func blindDraft(d *Draft) bool {
	now := d.After
	if !now.Known() && d.State == EntryApplied {
		now = d.Before
	}
	scope := Scope{Owned: d.Owned, Masked: d.Masked, Volatile: d.Volatile}
	return Compare(d.Before, d.After, now, scope).Blind
}

// gradeWarnings says at once what a rollback will not be able to do.
func gradeWarnings(g Reversibility) []string {
	switch g {
	case ReversibleManual:
		return []string{"reversible: manual. A rollback will stop here and ask a person"}
	case ReversibleNone:
		return []string{"reversible: none. A rollback cannot take this back"}
	case ReversibleExact, ReversibleEquivalent, ReversibleCompensating:
	}
	return nil
}

// mergeResource adds the members of more to a resource object; members of more win. Members keep their
// bytes and their order, new ones at the end.
func mergeResource(old, more json.RawMessage) (json.RawMessage, error) {
	if len(more) == 0 {
		return old, nil
	}
	oldMembers, err := membersOf(old)
	if err != nil {
		return nil, err
	}
	newMembers, err := membersOf(more)
	if err != nil {
		return nil, Invalid("/resource", "want an object")
	}
	for _, n := range newMembers {
		oldMembers = putMember(oldMembers, n)
	}
	return joinMembers(oldMembers), nil
}

// adds reports whether more changes no member that old has: it repeats them, or completes what is missing or
// null. Both are objects.
func adds(old, more json.RawMessage) bool {
	was, err := membersOf(old)
	if err != nil || len(more) == 0 {
		return len(more) == 0
	}
	now, err := membersOf(more)
	return err == nil && !slices.ContainsFunc(now, func(n member) bool {
		return slices.ContainsFunc(was, func(o member) bool {
			return string(o.name) == string(n.name) && string(o.value) != "null" && string(canonical(o.value)) != string(canonical(n.value))
		})
	})
}

// A member is one name and value of an object, byte for byte.
type member struct{ name, value json.RawMessage }

func membersOf(raw json.RawMessage) ([]member, error) {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, Invalid("/resource", "want an object")
	}
	var out []member
	for dec.More() {
		var m member
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		if err := dec.Decode(&m.value); err != nil {
			return nil, err
		}
		quoted, err := encode(name)
		if err != nil {
			return nil, err
		}
		m.name = quoted
		out = append(out, m)
	}
	return out, nil
}

func putMember(list []member, m member) []member {
	for i := range list {
		if string(list[i].name) == string(m.name) {
			list[i].value = m.value
			return list
		}
	}
	return append(list, m)
}

func joinMembers(list []member) json.RawMessage {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(m.name)
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return json.RawMessage(b.String())
}
