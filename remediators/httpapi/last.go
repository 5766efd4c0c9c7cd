package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"sideledger/remediators"
)

// A lastPlace says of a place in a list that it is not needed where nothing stands behind it: what is appended comes
// back there, and what is inserted at that place is refused.
type lastPlace struct {
	Member string `yaml:"member"` // of the resource: the place, from 0
	Of     string `yaml:"of"`     // path of the list

	where location
}

// check reads the path of the list.
func (l *lastPlace) check(x *effect) error {
	if l == nil {
		return nil
	}
	if x.place == nil || !slices.Contains(x.place.re.SubexpNames(), l.Member) {
		return fmt.Errorf("effect %q: last.member is no member that its validator says", x.Call)
	}
	raw, err := json.Marshal(map[string]string{"of": l.Of})
	if err != nil {
		return err
	}
	p := &parser{}
	l.where = p.object("/last", raw).location("of")
	return p.err
}

// lastMember is the member that may be left out; "": none.
func (x *effect) lastMember() string {
	if x.Last == nil {
		return ""
	}
	return x.Last.Member
}

// forget leaves the place out of a resource where it is the last of its list. What cannot be read leaves it.
func (l *lastPlace) forget(ctx context.Context, client *remediators.Client, members map[string]json.RawMessage) {
	place, ok := text(members[l.Member])
	resource, err := json.Marshal(members)
	if !ok || err != nil {
		return
	}
	call, err := build(http.MethodGet, l.where, nil, values{resource: resource})
	if err != nil {
		return
	}
	reply, err := client.Do(ctx, call)
	var list []json.RawMessage
	if err == nil && reply.Status == http.StatusOK && json.Unmarshal(reply.Body, &list) == nil && itoa(len(list)-1) == place {
		delete(members, l.Member)
	}
}
