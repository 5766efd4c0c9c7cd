package alertmanager

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sideledger/ledger"
)

// A silence is what Alertmanager shows of one, or what an image says: every member may be missing there.
type silence struct {
	ID        string    `json:"id"`
	Matchers  []matcher `json:"matchers"`
	StartsAt  time.Time `json:"startsAt"`
	EndsAt    time.Time `json:"endsAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	CreatedBy *string   `json:"createdBy"`
	Comment   *string   `json:"comment"`
	Status    struct {
		State string `json:"state"` // active, pending, expired; empty: not said
	} `json:"status"`
	members map[string]json.RawMessage // as they stand in the document
}

// A matcher is one condition of a silence. isEqual came with 0.22; where it is missing it is true.
type matcher struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	IsRegex bool   `json:"isRegex"`
	IsEqual *bool  `json:"isEqual"`
}

func (m matcher) same(o matcher) bool {
	equal := func(b *bool) bool { return b == nil || *b }
	return m.Name == o.Name && m.Value == o.Value && m.IsRegex == o.IsRegex && equal(m.IsEqual) == equal(o.IsEqual)
}

// content are the members that a silence is made of; the others are the server's.
var content = []string{"matchers", "startsAt", "endsAt", "createdBy", "comment"}

// parse reads one silence.
func parse(raw json.RawMessage) (*silence, error) {
	s := &silence{}
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, err
	}
	return s, json.Unmarshal(raw, &s.members)
}

// parseImage reads an image; nil for absence and for what is not known.
func parseImage(field string, i ledger.Image) (*silence, error) {
	if !i.Known() || i.IsAbsent() {
		return nil, nil
	}
	s, err := parse(i.JSON)
	if err != nil {
		return nil, ledger.Invalid(field, "is not a silence: an object with matchers, startsAt, endsAt, createdBy and comment")
	}
	return s, nil
}

// has reports whether the document says a member.
func (s *silence) has(member string) bool {
	raw, ok := s.members[member]
	return ok && string(raw) != "null"
}

// lacks names the members without which it cannot be created.
func (s *silence) lacks() string {
	var out []string
	for _, m := range content {
		if !s.has(m) {
			out = append(out, m)
		}
	}
	return strings.Join(out, ", ")
}

func (s *silence) expired() bool { return s.Status.State == "expired" }

// sameMatchers reports whether both have the same matchers, in any order; those that one does not say count as the same.
func (s *silence) sameMatchers(o *silence) bool {
	if !s.has("matchers") || !o.has("matchers") {
		return true
	}
	rest := slices.Clone(o.Matchers)
	for _, m := range s.Matchers {
		i := slices.IndexFunc(rest, m.same)
		if i < 0 {
			return false
		}
		rest = slices.Delete(rest, i, i+1)
	}
	return len(rest) == 0
}

// shows reports whether a silence that the server shows is the one that an image means, over the members
// that the image says. The server keeps milliseconds, and moves a start that is past to the moment of the
// call: starts that are both past mean the same.
func (s *silence) shows(image *silence, now time.Time) bool {
	start := same(s.StartsAt, image.StartsAt) || !s.StartsAt.After(now) && !image.StartsAt.After(now)
	return s.sameMatchers(image) && sameText(s.CreatedBy, image.CreatedBy) && sameText(s.Comment, image.Comment) &&
		(!image.has("startsAt") || start) && (!image.has("endsAt") || same(s.EndsAt, image.EndsAt))
}

// sameText compares what is shown with what an image says; one that says nothing fits.
func sameText(shown, said *string) bool { return said == nil || shown != nil && *shown == *said }

func same(a, b time.Time) bool {
	return a.Truncate(time.Millisecond).Equal(b.Truncate(time.Millisecond))
}

// Canonical implements [ledger.Canonicalizer]: times as Alertmanager shows them, in UTC with milliseconds, and
// matchers with all their members, as isEqual may be left out.
func (r *Remediator) Canonical(_ string, i ledger.Image) ledger.Image {
	s, err := parseImage("", i)
	if err != nil || s == nil {
		return i
	}
	return ledger.Image{JSON: object(s.canonical())}
}

// canonical returns the document's members, those of the content in their one form.
func (s *silence) canonical() map[string]json.RawMessage {
	out := maps.Clone(s.members)
	for name, at := range map[string]time.Time{"startsAt": s.StartsAt, "endsAt": s.EndsAt} {
		if s.has(name) {
			out[name] = json.RawMessage(at.UTC().Format(`"2006-01-02T15:04:05.000Z"`))
		}
	}
	if !s.has("matchers") {
		return out
	}
	list := make([]json.RawMessage, 0, len(s.Matchers))
	for _, m := range s.Matchers {
		name, _ := json.Marshal(m.Name) // strings and flags always encode
		value, _ := json.Marshal(m.Value)
		equal := m.IsEqual == nil || *m.IsEqual
		list = append(list, fmt.Appendf(nil, `{"isEqual":%t,"isRegex":%t,"name":%s,"value":%s}`, equal, m.IsRegex, name, value))
	}
	out["matchers"], _ = json.Marshal(list)
	return out
}

// object writes members without touching their bytes.
func object(members map[string]json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			b.WriteByte(',')
		}
		key, _ := json.Marshal(name) // a string always encodes
		b.Write(key)
		b.WriteByte(':')
		b.Write(members[name])
	}
	b.WriteByte('}')
	return b.Bytes()
}
