package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"sideledger/ledger"
	"sideledger/remediators"
)

// maxPages is how many pages of one list are read.
const maxPages = 50

// notSaid is why a kind is not listed of which the profile says nothing.
const notSaid = "its profile does not say how its resources are listed"

// A roll says in a profile how the resources of a kind are listed. What it leaves out is as in the list of the read or
// of its gone_proof.
type roll struct {
	Not   string  `yaml:"not"` // why they cannot be; then nothing else stands here
	Path  string  `yaml:"path"`
	Items *string `yaml:"items"` // pointer to the list in the answer
	// More points to where true, or a text, says that there is another page. After, Token and Offset say how it is asked
	// for; without them a text is its address.
	More     string            `yaml:"more"`
	After    map[string]string `yaml:"after"`     // parameter of the next page → pointer in the last element
	Token    string            `yaml:"token"`     // parameter of the next page that takes the text at More
	Offset   string            `yaml:"offset"`    // parameter of the next page that takes how many came before it
	Total    string            `yaml:"total"`     // with Offset: pointer to how many there are in all
	Absent   []int             `yaml:"absent"`    // statuses that say that there is none
	Most     int               `yaml:"most"`      // a page with as many may be cut off; 0: the answer says it
	Gone     any               `yaml:"gone_when"` // as in read: elements that are there no more, although they are shown
	Resource map[string]string `yaml:"resource"`  // members, each one reference into an element: "{{now.id}}"
	Created  string            `yaml:"created"`   // pointers to times in an element, with references to resource; empty: it does not say
	Changed  string            `yaml:"changed"`

	where              location
	headers            []header
	items, more, total []string
	created, changed   timing
	after              map[string][]string
	members            map[string]body
	gone               *tombstone
	place              []string // members of the resource that the path needs, sorted
}

// listed is the list that a read or its gone_proof has, as it stands in the profile.
type listed struct {
	Path  string `json:"path"`
	List  *struct{ Items, More string }
	Match *struct {
		Pointer string
		Equals  json.RawMessage
	}
	Proof   *listed         `json:"gone_proof"`
	Headers json.RawMessage `json:"headers"`
}

// check reads the list of a kind; nil where the kind has none.
func (k *profileKind) checkList() error {
	var rd listed
	if err := json.Unmarshal(k.docs.read, &rd); err != nil {
		return err
	}
	if k.List == nil {
		k.List = &roll{}
	}
	l := k.List
	if l.Not != "" {
		return nil
	}
	l.borrow(&rd)
	if l.Path == "" || len(l.Resource) == 0 || l.Items == nil {
		l.Not = notSaid
		return nil
	}
	return l.read(k, rd.Headers)
}

// borrow takes over what the read, or its gone_proof, says of the list.
func (l *roll) borrow(rd *listed) {
	from := rd
	if rd.List == nil {
		from = rd.Proof
	}
	if from == nil || from.List == nil || from.Match == nil {
		return
	}
	if l.Path == "" {
		l.Path = from.Path
	}
	if l.Items == nil {
		l.Items, l.More = &from.List.Items, from.List.More
	}
	var equals string
	_ = json.Unmarshal(from.Match.Equals, &equals) // no text, no name
	member, named := strings.CutPrefix(strings.TrimSuffix(equals, "}}"), "{{resource.")
	if len(l.Resource) == 0 && named && from.Match.Pointer != "" {
		l.Resource = map[string]string{member: "{{now" + from.Match.Pointer + "}}"}
	}
}

// read reads the parts.
func (l *roll) read(k *profileKind, headers json.RawMessage) error {
	raw, err := json.Marshal(map[string]any{"path": l.Path, "items": *l.Items, "more": l.More, "total": l.Total, "gone_when": l.Gone, "headers": headers})
	if err != nil {
		return err
	}
	p := &parser{}
	f := p.object("/list", raw)
	l.where, l.headers = f.location("path"), f.headers("headers")
	l.items, l.more, l.total = f.pointer("items"), f.pointer("more"), f.pointer("total")
	l.gone = f.tombstone("gone_when")
	if err := errors.Join(p.err, l.created.read(l.Created), l.changed.read(l.Changed)); err != nil {
		return err
	}
	if why := l.checkPaging(); why != "" {
		return errors.New("list: " + why)
	}
	l.after, l.members = map[string][]string{}, map[string]body{}
	for name, pointer := range l.After {
		tokens, ok := parsePointer(pointer)
		if !ok {
			return fmt.Errorf("list: after.%s is no JSON pointer", name)
		}
		l.after[name] = tokens
	}
	for name, text := range l.Resource {
		b, err := parseBody(quote(text))
		if err != nil || !slices.Contains(k.members, name) {
			return fmt.Errorf("list: resource.%s is no member of the resource, or no text", name)
		}
		l.members[name] = b
	}
	return l.findPlace(k)
}

// findPlace lists what the path needs, which with what an element says has to name the resource.
func (l *roll) findPlace(k *profileKind) error {
	for _, t := range textsOf(l.where, l.headers) {
		for _, p := range t {
			switch {
			case p.ref == nil:
			case p.ref.root != "resource" || len(p.ref.path) != 1 || !slices.Contains(k.members, p.ref.path[0]):
				return errors.New("list: its path refers to members of resource alone")
			case !slices.Contains(l.place, p.ref.path[0]):
				l.place = append(l.place, p.ref.path[0])
			}
		}
	}
	slices.Sort(l.place)
	for _, key := range k.Resource.Key {
		if _, ok := l.members[key]; !ok && !slices.Contains(l.place, key) {
			return fmt.Errorf("list: nothing says %s, which names the resource", key)
		}
	}
	return nil
}

// List implements [ledger.Lister].
func (r *Remediator) List(ctx context.Context, kind string, place json.RawMessage) (ledger.Listing, error) {
	if r.profile == nil || r.profile.kinds[kind] == nil {
		return ledger.Listing{Why: "its entries carry their own recipe, and nobody says which others there may be"}, nil
	}
	l := r.profile.kinds[kind].List
	if l.Not != "" {
		return ledger.Listing{Why: l.Not}, nil
	}
	at, lacks := pick(place, l.place)
	if lacks != "" {
		return ledger.Listing{Why: "nobody says where: it needs " + lacks}, nil
	}
	out := ledger.Listing{Place: at}
	call, err := build(http.MethodGet, l.where, l.headers, values{resource: at})
	for page := 0; err == nil && call.Path != ""; page++ {
		if page == maxPages {
			out.Part = true
			break
		}
		call, err = r.page(ctx, l, call, &out)
	}
	return out, err
}

// Place implements [ledger.Lister].
func (r *Remediator) Place(kind string, place json.RawMessage) json.RawMessage {
	if r.profile == nil || r.profile.kinds[kind] == nil {
		return nil
	}
	at, _ := pick(place, r.profile.kinds[kind].List.place)
	return at
}

// pick takes members out of a place. lacks names those that it does not have.
func pick(place json.RawMessage, names []string) (out json.RawMessage, lacks string) {
	members := map[string]json.RawMessage{}
	var missing []string
	for _, m := range names {
		v, ok := at(place, []string{m})
		if _, scalar := text(v); !ok || !scalar {
			missing = append(missing, m)
			continue
		}
		members[m] = v
	}
	raw, _ := json.Marshal(members) // they were read from JSON
	return raw, strings.Join(missing, ", ")
}

// page reads one page, and returns the call for the next one; without a path there is none.
func (r *Remediator) page(ctx context.Context, l *roll, call remediators.Call, out *ledger.Listing) (next remediators.Call, err error) {
	reply, err := r.client.Do(ctx, call)
	if err != nil || slices.Contains(l.Absent, reply.Status) {
		return next, err
	}
	doc, why := remediators.Document(reply)
	var list []json.RawMessage
	items, ok := at(doc, l.items)
	if reply.Status != http.StatusOK || why != "" || !ok || json.Unmarshal(items, &list) != nil {
		return next, remediators.Unusable(reply, "the list cannot be read: answered "+itoa(reply.Status))
	}
	for _, e := range list {
		if l.gone.holds(e) {
			continue
		}
		if one, ok := l.element(out.Place, e); ok {
			out.Items = append(out.Items, one)
		} else {
			out.Part = true // one that cannot be told
		}
	}
	var whole bool
	if target := l.address(reply.Field("Link"), doc); target != "" {
		call.Path, call.Query, whole = r.client.Relative(target)
	} else {
		call.Path, call.Query, whole = l.next(call, doc, list)
	}
	if !whole {
		out.Part = true
		return next, nil
	}
	return call, nil
}

// element tells one element of the list; false: it has no name there.
func (l *roll) element(place, e json.RawMessage) (ledger.Listed, bool) {
	members := map[string]json.RawMessage{}
	_ = json.Unmarshal(place, &members) // pick made it
	for name, b := range l.members {
		v, err := b.render(values{now: e, resource: place})
		if _, scalar := text(v); err != nil || !scalar {
			return ledger.Listed{}, false
		}
		members[name] = v
	}
	raw, err := json.Marshal(members)
	return ledger.Listed{Resource: raw, Created: l.created.at(e, place), Changed: l.changed.at(e, place), Shows: e}, err == nil
}

var _ ledger.Lister = (*Remediator)(nil)
