package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// The ledger's own format for a draft: the journal's entry records and the store's rows hold it.
// It is the one place outside api/wire and the remediators with json tags, since it is a format on disk.
type draftJSON struct {
	ID         uuid.UUID       `json:"id"`
	System     string          `json:"system"`
	Kind       string          `json:"kind"`
	Action     Action          `json:"action"`
	Resource   json.RawMessage `json:"resource,omitempty"`
	Before     json.RawMessage `json:"before,omitempty"`
	After      json.RawMessage `json:"after,omitempty"`
	Undo       json.RawMessage `json:"undo,omitempty"`
	Read       json.RawMessage `json:"read,omitempty"`
	Guard      json.RawMessage `json:"guard,omitempty"`
	Async      json.RawMessage `json:"async,omitempty"`
	Verify     json.RawMessage `json:"verify,omitempty"`
	Capture    bool            `json:"capture,omitempty"`
	State      EntryState      `json:"state"`
	Perform    time.Duration   `json:"perform_within_ns"`
	OnRollback OnRollback      `json:"on_rollback"`
	DependsOn  []uuid.UUID     `json:"depends_on,omitempty"`
	Owned      []string        `json:"owned,omitempty"`
	Masked     []string        `json:"masked,omitempty"`
	Volatile   []string        `json:"volatile,omitempty"`
	Unordered  []string        `json:"unordered,omitempty"`
	Reversible Reversibility   `json:"reversible,omitempty"`
	Tag        string          `json:"tag,omitempty"`
	Note       string          `json:"note,omitempty"`
	Source     string          `json:"source,omitempty"`
	Secret     []string        `json:"secret,omitempty"`
	Encrypted  []encryptedJSON `json:"encrypted,omitempty"`

	BeforeRestore bool  `json:"before_restore,omitempty"`
	Restore       bool  `json:"restore,omitempty"`
	Trace         Trace `json:"trace,omitempty"`
}

type encryptedJSON struct {
	Field string `json:"field"`
	Text  []byte `json:"text"` // base64
}

func encryptedToJSON(list []Encrypted) []encryptedJSON {
	var out []encryptedJSON
	for _, e := range list {
		out = append(out, encryptedJSON(e))
	}
	return out
}

func encryptedOf(list []encryptedJSON) []Encrypted {
	var out []Encrypted
	for _, e := range list {
		out = append(out, Encrypted(e))
	}
	return out
}

// EncodeDraft returns the draft in the ledger's own format. Raw documents stand in it byte for byte.
func EncodeDraft(d *Draft) (json.RawMessage, error) {
	return encode(draftJSON{
		ID: d.ID, System: d.System, Kind: d.Kind, Action: d.Action, Resource: d.Resource,
		Before: d.Before.JSON, After: d.After.JSON, Undo: d.Undo, Read: d.Read, Guard: d.Guard, Async: d.Async,
		Verify: d.Verify, Capture: d.Capture, State: d.State, Perform: d.Perform, OnRollback: d.OnRollback,
		DependsOn: d.DependsOn, Owned: d.Owned, Masked: d.Masked, Volatile: d.Volatile, Unordered: d.Unordered,
		Reversible: d.Reversible, Tag: d.Tag, Note: d.Note, Source: d.Source,
		BeforeRestore: d.BeforeRestore, Restore: d.Restore,
		Secret: d.Secret, Encrypted: encryptedToJSON(d.Encrypted), Trace: d.Trace,
	})
}

// DecodeDraft reads what EncodeDraft wrote.
func DecodeDraft(raw []byte) (Draft, error) {
	var j draftJSON
	if err := json.Unmarshal(raw, &j); err != nil {
		return Draft{}, err
	}
	return Draft{
		ID: j.ID, System: j.System, Kind: j.Kind, Action: j.Action, Resource: j.Resource,
		Before: Image{j.Before}, After: Image{j.After}, Undo: j.Undo, Read: j.Read, Guard: j.Guard, Async: j.Async,
		Verify: j.Verify, Capture: j.Capture, State: j.State, Perform: j.Perform, OnRollback: j.OnRollback,
		DependsOn: j.DependsOn, Owned: j.Owned, Masked: j.Masked, Volatile: j.Volatile, Unordered: j.Unordered,
		Reversible: j.Reversible, Tag: j.Tag, Note: j.Note, Source: j.Source,
		BeforeRestore: j.BeforeRestore, Restore: j.Restore,
		Secret: j.Secret, Encrypted: encryptedOf(j.Encrypted), Trace: j.Trace,
	}, nil
}

// digestDraft returns what two posts of the same entry have in common. The hash of an entry with secrets is
// keyed: they could be guessed from another.
func (l *Ledger) digestDraft(d *Draft) ([32]byte, error) {
	raw, err := EncodeDraft(d)
	if len(d.Secret) > 0 && l.cipher != nil {
		return l.cipher.MAC(macPosted, raw), err
	}
	return sha256.Sum256(raw), err
}

// HashRequest returns what [Once] keeps of a request's body. It is keyed where there is a key, as the body may
// hold secrets that could be guessed from another.
func (l *Ledger) HashRequest(body []byte) [32]byte {
	if l.cipher == nil {
		return sha256.Sum256(body)
	}
	return l.cipher.MAC(macRequest, body)
}

// encode writes compact JSON without escaping HTML, so that raw documents keep their bytes.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
