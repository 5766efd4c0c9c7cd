package ssm

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"sideledger/ledger"
	"sideledger/remediators"
)

const (
	notFound        = "ParameterNotFound"
	versionNotFound = "ParameterVersionNotFound"
)

// post is a call of Parameter Store, which reads and writes alike.
func post(operation string, body any) remediators.Call {
	raw, _ := json.Marshal(body) // maps of strings, numbers and lists of them always encode
	return remediators.Call{Method: http.MethodPost, Path: "/", Body: raw, Header: map[string]string{
		"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AmazonSSM." + operation,
	}}
}

// A sight is what a look saw beside the image: the validator, as JSON.
type sight struct {
	Version int64 `json:"version"`
	Lost    bool  `json:"lost,omitempty"` // the version that the before-image names is not there any more
}

// Look implements [ledger.Remediator]. A name that is not found is gone: who may not see it is refused instead. Values
// of a SecureString are read only where the newest version is neither the one before nor the one after.
func (r *Remediator) Look(ctx context.Context, e *ledger.Entry) (ledger.Look, error) {
	at, err := parseTarget(e.Where())
	if err != nil {
		return ledger.Look{}, remediators.Denied("its resource cannot be read")
	}
	before, errBefore := parseImage("/before", e.Before)
	after, errAfter := parseImage("/after", e.After)
	if errBefore != nil || errAfter != nil {
		return ledger.Look{}, remediators.Denied("its images cannot be read")
	}
	out := ledger.Look{Known: true, Now: ledger.Absent, Scope: ledger.Scope{
		Owned: e.Owned, Masked: e.Masked, Volatile: slices.Concat(e.Volatile, []string{"/tier"}), Unordered: e.Unordered,
	}}
	history, visible, err := r.history(ctx, at.Name)
	if err != nil || len(history) == 0 {
		out.Proven = visible
		return out, err
	}
	newest := slices.MaxFunc(history, func(a, b version) int { return int(a.Version - b.Version) })
	now := newest.image()
	s := sight{Version: newest.Version}
	if now.Type == secureString {
		s.Lost = before != nil && !before.among(history)
		if err := r.secure(ctx, at, now, history, before, after); err != nil {
			return ledger.Look{}, err
		}
	}
	raw, _ := json.Marshal(s) // strings and numbers always encode
	out.Now, out.Validator = now.image(), string(raw)
	return out, nil
}

// secure is name for the images of an entry, unless the newest version is one of theirs.
func (r *Remediator) secure(ctx context.Context, at target, now *image, history []version, before, after *image) error {
	newest := []version{{Version: now.Version, LastModifiedDate: now.Modified}}
	for _, i := range []*image{before, after} {
		if i.among(newest) {
			now.Version, now.Modified = i.Version, i.Modified
			return nil
		}
	}
	if !after.among(history) {
		after = nil
	}
	if before.among(history) {
		return r.name(ctx, at, now, []*image{before, after}, nil)
	}
	return r.name(ctx, at, now, []*image{before, after}, before)
}

// name says in an image of a SecureString which of the entry's versions the newest one is, or holds the value of: an undo, of
// this entry or of a newer one, writes an old value as a new version. Values are compared in memory. lost is the
// before-image whose version is not there any more; nil: it is, or there is none.
func (r *Remediator) name(ctx context.Context, at target, now *image, said []*image, lost *image) error {
	var current ledger.Secret
	for _, i := range said {
		if i == nil || i.Type != secureString {
			continue
		}
		value, why, err := r.old(ctx, at, i, i == lost)
		if err == nil && why == "" && current.Empty() {
			current, why, err = r.decrypted(ctx, at.Name)
		}
		if err != nil {
			return err
		}
		if why == "" && value.Reveal() == current.Reveal() {
			now.Version, now.Modified = i.Version, i.Modified
			return nil
		}
	}
	return nil
}

// old reads the value of the version before, or the system's secret where that version is lost. why says that neither
// can be had.
func (r *Remediator) old(ctx context.Context, at target, before *image, lost bool) (value ledger.Secret, why string, err error) {
	if !lost {
		return r.decrypted(ctx, at.Name+":"+strconv.FormatInt(before.Version, 10))
	}
	reference := r.secrets[at.Secret]
	if reference == "" {
		return value, "secret_missing: version " + strconv.FormatInt(before.Version, 10) + " of the value is not there any more, and `secret` of the resource names none of the system's secrets", nil
	}
	if value, err = remediators.Resolve(reference, r.getenv); err != nil {
		return value, "secret_missing: " + err.Error(), nil
	}
	return value, "", nil
}

// decrypted reads a value. It is held in memory, and nowhere else. why says that there is none.
func (r *Remediator) decrypted(ctx context.Context, name string) (value ledger.Secret, why string, err error) {
	reply, err := r.client.Do(ctx, post("GetParameter", map[string]any{"Name": name, "WithDecryption": true}))
	if err != nil {
		return value, "", err
	}
	if code := remediators.AWSCode(reply); code == versionNotFound || code == notFound {
		return value, "secret_missing: the version of the value that would come back is not there any more", nil
	}
	var doc struct {
		Parameter struct{ Value *string }
	}
	if err := decode(reply, &doc); err != nil {
		return value, "", err
	}
	if doc.Parameter.Value == nil {
		return value, "", remediators.Unusable(reply, "the answer has no value")
	}
	return ledger.NewSecret(*doc.Parameter.Value), "", nil
}

// historyPages is how many pages of a history are read: a parameter keeps 100 versions, of which a page has 50.
const historyPages = 4

// history reads all versions that are kept; none if the parameter is not there. visible: Parameter Store itself said so.
func (r *Remediator) history(ctx context.Context, name string) (list []version, visible bool, err error) {
	ask := map[string]any{"Name": name, "MaxResults": 50}
	for range historyPages {
		reply, err := r.client.Do(ctx, post("GetParameterHistory", ask))
		switch {
		case err != nil:
			return nil, false, err
		case remediators.AWSCode(reply) == notFound:
			return nil, true, nil
		case reply.Status == http.StatusNotFound: // no such address: nothing of the API is visible
			return nil, false, nil
		}
		var page struct {
			Parameters []version
			NextToken  string
		}
		if err := decode(reply, &page); err != nil {
			return nil, false, err
		}
		if list = append(list, page.Parameters...); page.NextToken == "" {
			if len(list) == 0 {
				return nil, false, remediators.Unusable(reply, "the answer is no history")
			}
			return list, true, nil
		}
		ask["NextToken"] = page.NextToken
	}
	return nil, false, &ledger.CallError{Class: ledger.CallAnswered, Detail: "the history of the parameter does not end"}
}

// decode reads the document of an answer that has to be 200.
func decode(reply remediators.Reply, into any) error {
	if reply.Status != http.StatusOK {
		return remediators.UnusableAWS(reply)
	}
	doc, why := remediators.Document(reply)
	if why != "" || json.Unmarshal(doc, into) != nil {
		return remediators.Unusable(reply, "the answer cannot be read")
	}
	return nil
}
