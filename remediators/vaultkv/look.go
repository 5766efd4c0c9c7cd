package vaultkv

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"sideledger/ledger"
	"sideledger/remediators"
)

// metadata are what Vault tells of a secret without what it holds.
type metadata struct {
	CurrentVersion int64                     `json:"current_version"`
	MaxVersions    int64                     `json:"max_versions"` // 0: as the engine says
	Created        time.Time                 `json:"created_time"`
	Updated        time.Time                 `json:"updated_time"`
	Versions       map[string]*metaOfVersion `json:"versions"`
}

type metaOfVersion struct {
	Created   string `json:"created_time"`
	Deletion  string `json:"deletion_time"` // empty: none; it may be to come
	Destroyed bool   `json:"destroyed"`
}

// at returns one version; nil: it is not there.
func (m *metadata) at(n int64) *metaOfVersion { return m.Versions[strconv.FormatInt(n, 10)] }

// deleted reports whether a version is marked as deleted. A time that is to come says when it will be.
func (v *metaOfVersion) deleted(now time.Time) bool {
	t, err := time.Parse(time.RFC3339Nano, v.Deletion)
	return v.Deletion != "" && (err != nil || !t.After(now))
}

// kept returns the images, nil in the place of those whose version is not there any more, as it was.
func (m *metadata) kept(list ...*image) []*image {
	for n, i := range list {
		if i != nil && (m.at(i.Version) == nil || !i.is(&image{i.Version, m.at(i.Version).Created})) {
			list[n] = nil
		}
	}
	return list
}

// What became of the version that holds the old value.
const (
	oldKept      = "kept"
	oldDeleted   = "deleted"
	oldDestroyed = "destroyed"
	oldLost      = "lost"
	oldCrowded   = "crowded" // one more version would push it out
)

// A sight is what a look saw beside the image: the validator, as JSON.
type sight struct {
	Current int64  `json:"current"`       // the newest version, deleted or not; 0: there is none
	Old     string `json:"old,omitempty"` // what became of the version of the before-image
}

// Look implements [ledger.Remediator]. A secret whose newest version is deleted is not there. Values are read only where the
// newest version is neither the one before nor the one after.
func (r *Remediator) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	at, err := parseSecret(e.Where())
	if err != nil {
		return ledger.Look{}, remediators.Denied("its resource cannot be read")
	}
	before, errBefore := parseImage("/before", e.Before)
	after, errAfter := parseImage("/after", e.After)
	if errBefore != nil || errAfter != nil {
		return ledger.Look{}, remediators.Denied("its images cannot be read")
	}
	out := ledger.Look{Known: true, Now: ledger.Absent, Scope: ledger.Scope{
		Owned: e.Owned, Masked: e.Masked, Volatile: e.Volatile, Unordered: e.Unordered,
	}}
	meta, visible, err := r.metadata(ctx, at)
	if err != nil || !visible {
		return out, err
	}
	s := sight{Current: meta.CurrentVersion}
	if s.Old, err = r.old(ctx, at, before, meta); err != nil {
		return ledger.Look{}, err
	}
	raw, _ := json.Marshal(s) // a number and a string always encode
	out.Validator = string(raw)
	newest := meta.at(meta.CurrentVersion)
	if newest == nil || newest.Destroyed || newest.deleted(r.clock.Now()) {
		out.Proven = true
		return out, nil
	}
	now := &image{Version: meta.CurrentVersion, Created: newest.Created}
	if now, err = r.name(ctx, at, now, meta.kept(before, after)); err != nil {
		return ledger.Look{}, err
	}
	out.Now = now.image()
	return out, nil
}

// old says what became of the version of the before-image.
func (r *Remediator) old(ctx context.Context, at secret, before *image, meta *metadata) (string, error) {
	if before == nil {
		return "", nil
	}
	v := meta.at(before.Version)
	switch {
	case meta.kept(before)[0] == nil:
		return oldLost, nil
	case v.Destroyed:
		return oldDestroyed, nil
	case v.deleted(r.clock.Now()):
		return oldDeleted, nil
	}
	most, err := r.most(ctx, at, meta)
	if err == nil && before.Version != meta.CurrentVersion && before.Version <= meta.CurrentVersion+1-most {
		return oldCrowded, nil
	}
	return oldKept, err
}

// standardMost is how many versions an engine keeps that says nothing.
const standardMost = 10

// most is how many versions are kept. Where the engine's settings may not be read, they are taken for the standard.
func (r *Remediator) most(ctx context.Context, at secret, meta *metadata) (int64, error) {
	if meta.MaxVersions > 0 {
		return meta.MaxVersions, nil
	}
	reply, err := r.client.Do(ctx, remediators.Call{Method: http.MethodGet, Path: "/v1" + escaped(at.Mount) + "/config"})
	var doc struct {
		Data struct {
			MaxVersions int64 `json:"max_versions"`
		} `json:"data"`
	}
	switch call, _ := err.(*ledger.CallError); { //nolint:errorlint // the client returns nothing else
	case call != nil && call.Class != ledger.CallAuth:
		return 0, err
	case call != nil || reply.Status != http.StatusOK:
		return standardMost, nil
	case decode(reply, &doc) != nil || doc.Data.MaxVersions < 1:
		return standardMost, nil
	}
	return doc.Data.MaxVersions, nil
}

// name says which of the entry's versions the newest one is, or holds the value of: an undo, of this entry or of a newer one,
// writes an old value as a new version. Values are compared in memory.
func (r *Remediator) name(ctx context.Context, at secret, now *image, said []*image) (*image, error) {
	for _, i := range said {
		if i.is(now) {
			return i, nil
		}
	}
	var current ledger.Secret
	for _, i := range said {
		if i == nil {
			continue
		}
		value, ok, err := r.value(ctx, at, i.Version)
		if err != nil {
			return now, err
		}
		if ok && current.Empty() {
			if current, ok, err = r.value(ctx, at, now.Version); err != nil || !ok {
				return now, err
			}
		}
		if ok && value.Reveal() == current.Reveal() {
			return i, nil
		}
	}
	return now, nil
}

// value reads what a version holds, as JSON. It is held in memory, and nowhere else. ok is false where it is not there.
func (r *Remediator) value(ctx context.Context, at secret, version int64) (value ledger.Secret, ok bool, err error) {
	reply, err := r.client.Do(ctx, remediators.Call{Method: http.MethodGet, Path: at.at("data"), Query: "version=" + strconv.FormatInt(version, 10)})
	if err != nil || reply.Status == http.StatusNotFound {
		return value, false, err
	}
	var doc struct {
		Data struct {
			Data     json.RawMessage `json:"data"`
			Metadata struct {
				Version int64 `json:"version"`
			} `json:"metadata"`
		} `json:"data"`
	}
	if err := decode(reply, &doc); err != nil {
		return value, false, err
	}
	if doc.Data.Metadata.Version != version || len(doc.Data.Data) == 0 || doc.Data.Data[0] != '{' {
		return value, false, remediators.Unusable(reply, "the answer is about another version")
	}
	return ledger.NewSecret(string(doc.Data.Data)), true, nil
}

// metadata reads what is told of a secret; without versions where it is not there. visible: Vault said so to a token that
// it takes.
func (r *Remediator) metadata(ctx context.Context, at secret) (m *metadata, visible bool, err error) {
	reply, err := r.client.Do(ctx, remediators.Call{Method: http.MethodGet, Path: at.at("metadata")})
	if err != nil {
		return nil, false, err
	}
	if reply.Status == http.StatusNotFound {
		visible, err := r.empty(ctx, reply)
		return &metadata{}, visible, err
	}
	var doc struct {
		Data *metadata `json:"data"`
	}
	if err := decode(reply, &doc); err != nil {
		return nil, false, err
	}
	if doc.Data == nil || doc.Data.Versions == nil {
		return nil, false, remediators.Unusable(reply, "the answer is no metadata of a secret")
	}
	return doc.Data, true, nil
}

// empty reports whether a 404 means that there is no such secret: it has no error then, as there is for an engine that is
// not there, and the token can be seen by itself.
func (r *Remediator) empty(ctx context.Context, reply remediators.Reply) (bool, error) {
	var doc struct {
		Errors []string `json:"errors"`
	}
	if raw, why := remediators.Document(reply); why != "" || json.Unmarshal(raw, &doc) != nil || doc.Errors == nil || len(doc.Errors) > 0 {
		return false, nil
	}
	reply, err := r.client.Do(ctx, remediators.Call{Method: http.MethodGet, Path: tokenPath})
	switch call, _ := err.(*ledger.CallError); { //nolint:errorlint // the client returns nothing else
	case call != nil && call.Class == ledger.CallAuth:
		return false, nil
	case err != nil:
		return false, err
	case reply.Status == http.StatusTooManyRequests || reply.Status >= http.StatusInternalServerError:
		return false, remediators.Unusable(reply, "")
	}
	return reply.Status == http.StatusOK, nil
}

// decode reads the document of an answer that has to be 200.
func decode(reply remediators.Reply, into any) error {
	if reply.Status != http.StatusOK {
		return remediators.Unusable(reply, "")
	}
	doc, why := remediators.Document(reply)
	if why != "" || json.Unmarshal(doc, into) != nil {
		return remediators.Unusable(reply, "the answer cannot be read")
	}
	return nil
}
