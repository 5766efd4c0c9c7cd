package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
)

// A resource names itself in the open, by what was posted and by the aliases that it gets: names are stored, shown and
// hashed. So no secret value may become one.

// SecretMember returns the place in Secret of a pointer that marks a member of the images; -1: none does.
func (d *Draft) SecretMember(name string) int {
	return slices.IndexFunc(d.Secret, func(s string) bool {
		return placesOf([]string{s}).has(part{image: true}, []token{{name: name}})
	})
}

// NameIsSecret is the refusal of an entry whose secret pointer i marks a member by which its resource is named.
func NameIsSecret(i int, member string) error {
	return Invalid(fmt.Sprintf("/secret/%d", i), "marks %s, by which the resource names itself in the open, also under a new name; leave it in the open, or name the resource by something else", pointerTo(member))
}

// secretName returns the first member of a resource that is marked secret in the images.
func (d *Draft) secretName() (member string, i int) {
	list, err := membersOf(d.Resource)
	if err != nil {
		return "", -1 // it is refused elsewhere, or not known yet
	}
	for _, m := range list {
		var name string
		if json.Unmarshal(m.name, &name) != nil {
			continue
		}
		if i := d.SecretMember(name); i >= 0 {
			return name, i
		}
	}
	return "", -1
}

// checkNames refuses names of the resource, the first and later ones, that hold a secret value.
func (k *known) checkNames(list ...json.RawMessage) error {
	for _, name := range list {
		if at, found := k.inName(name); found {
			return Invalid("/resource"+at, "holds the value of a secret field; a resource names itself in the open, by something else")
		}
	}
	return nil
}

// inName returns the pointer of the first secret value in a name.
func (k *known) inName(name json.RawMessage) (at string, found bool) {
	r := rewriter{wants: func(path []token, rest []byte) bool {
		if s, ok := leaf(rest); ok && !found && k.names(s) {
			at, found = pointerOf(path), true
		}
		return false
	}}
	if len(name) == 0 {
		return "", false
	}
	if _, err := r.rewrite(name); err != nil {
		return "", true // what cannot be read may hold one
	}
	return at, found
}

// names reports whether a name that a third party gave the resource would show a secret.
func (o *opened) names(alias json.RawMessage) bool {
	if _, found := o.known.inName(alias); found {
		return true
	}
	d := Draft{Resource: alias, Secret: slices.Concat(o.entry.Secret, o.lent)}
	_, i := d.secretName()
	return i >= 0
}

// nameless says that a resource goes by a name that may not be kept.
const nameless = "the name that it has now is the value of a secret field, which is kept nowhere: find it there by hand"
