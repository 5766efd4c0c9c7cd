package ledger

import (
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// recordBody is the ledger's own format of one journal record. A record carries what its move touched as
// it stands afterwards, so that reading a journal from the first record to the last rebuilds the window.
type recordBody struct {
	Number     int64           `json:"number"`
	At         time.Time       `json:"at"`
	Kind       string          `json:"kind"`
	WindowID   uuid.UUID       `json:"window_id"`
	Actor      string          `json:"actor"`
	EntryID    uuid.UUID       `json:"entry_id,omitzero"`
	RollbackID uuid.UUID       `json:"rollback_id,omitzero"`
	Note       string          `json:"note,omitempty"`
	Window     *windowJSON     `json:"window,omitempty"`
	Entry      *entryJSON      `json:"entry,omitempty"`
	Draft      json.RawMessage `json:"draft,omitempty"`
	Attempt    *attemptJSON    `json:"attempt,omitempty"`
	Rollback   *rollbackJSON   `json:"rollback,omitempty"`
	Evidence   *attemptJSON    `json:"evidence,omitempty"` // of a runner that had lost its lease
	Follows    string          `json:"follows,omitempty"`  // hash of the record before it, which was removed; see journal.KindPruned
}

type windowJSON struct {
	Name       string            `json:"name"`
	Ticket     string            `json:"ticket,omitempty"`
	Owner      string            `json:"owner,omitempty"`
	OpensAt    time.Time         `json:"opens_at,omitzero"`
	EndsAt     time.Time         `json:"ends_at,omitzero"`
	Buffer     time.Duration     `json:"buffer_ns,omitempty"`
	Snapshot   string            `json:"snapshot,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	State      WindowState       `json:"state"`
	Resume     WindowState       `json:"resume,omitempty"`
	RollbackID uuid.UUID         `json:"rollback_id,omitzero"`
	CreatedAt  time.Time         `json:"created_at"`
	SealedAt   time.Time         `json:"sealed_at,omitzero"`
	Restore    json.RawMessage   `json:"restore,omitempty"` // a draft
	Pruned     json.RawMessage   `json:"pruned,omitempty"`
}

func windowToJSON(w *Window) *windowJSON {
	return &windowJSON{
		Pruned: EncodePruning(w.Pruned),
		Name:   w.Name, Ticket: w.Ticket, Owner: w.Owner, OpensAt: w.OpensAt, EndsAt: w.EndsAt, Buffer: w.Buffer,
		Snapshot: w.Snapshot, Labels: w.Labels, State: w.State, Resume: w.Resume, RollbackID: w.RollbackID,
		CreatedAt: w.CreatedAt, SealedAt: w.SealedAt, Restore: encodeRestore(w.Restore),
	}
}

func (j *windowJSON) into(w *Window) error {
	restore, err := DecodeRestore(j.Restore)
	w.WindowDraft = WindowDraft{
		Name: j.Name, Ticket: j.Ticket, Owner: j.Owner, OpensAt: j.OpensAt, EndsAt: j.EndsAt, Buffer: j.Buffer,
		Snapshot: j.Snapshot, Labels: j.Labels, Restore: restore,
	}
	w.State, w.Resume, w.RollbackID, w.CreatedAt, w.SealedAt = j.State, j.Resume, j.RollbackID, j.CreatedAt, j.SealedAt
	if err == nil {
		w.Pruned, err = DecodePruning(j.Pruned)
	}
	return err
}

// entryJSON is what can change of an entry; its content as posted stands in the record's draft.
type entryJSON struct {
	Seq         int             `json:"seq"`
	System      string          `json:"system"` // for readers of the stream; the draft decides
	Kind        string          `json:"kind"`   // likewise
	State       EntryState      `json:"state"`
	Reason      Reason          `json:"reason,omitempty"`
	Detail      string          `json:"detail,omitempty"`
	Outcome     Outcome         `json:"outcome,omitempty"`
	PerformBy   time.Time       `json:"perform_by,omitzero"`
	Late        bool            `json:"late,omitempty"`
	Doubted     bool            `json:"doubted,omitempty"`
	Warnings    []string        `json:"warnings,omitempty"`
	ResourceKey string          `json:"resource_key,omitempty"`
	RecordedBy  string          `json:"recorded_by,omitempty"`
	Posted      string          `json:"posted,omitempty"`
	NowDigest   string          `json:"now_digest,omitempty"`
	Now         json.RawMessage `json:"now,omitempty"`
	Decision    *decisionJSON   `json:"decision,omitempty"`
	NotBefore   time.Time       `json:"not_before,omitzero"`
	Alias       *aliasJSON      `json:"alias,omitempty"`
	RollbackID  uuid.UUID       `json:"rollback_id,omitzero"`
	RecordedAt  time.Time       `json:"recorded_at"`
	AppliedAt   time.Time       `json:"applied_at,omitzero"`
	UndoneAt    time.Time       `json:"undone_at,omitzero"`
}

type aliasJSON struct {
	Resource json.RawMessage `json:"resource"`
	At       time.Time       `json:"at"`
}

type decisionJSON struct {
	Kind     DecisionKind `json:"kind"`
	Reason   string       `json:"reason"`
	Seen     string       `json:"seen,omitempty"`
	Evidence string       `json:"evidence,omitempty"`
	By       string       `json:"by"`
	At       time.Time    `json:"at"`
	Attempts int          `json:"attempts,omitempty"`
}

func entryToJSON(e *Entry) *entryJSON {
	j := &entryJSON{
		Seq: e.Seq, System: e.System, Kind: e.Kind, State: e.State, Reason: e.Reason, Detail: e.Detail,
		Outcome: e.Outcome, PerformBy: e.PerformBy, Late: e.Late, Doubted: e.Doubted, Warnings: e.Warnings,
		ResourceKey: hexOf(e.ResourceKey), RecordedBy: e.RecordedBy, Posted: hexOf(e.Posted), NowDigest: e.NowDigest,
		Now: e.Now.JSON, NotBefore: e.NotBefore, RollbackID: e.RollbackID, RecordedAt: e.RecordedAt,
		AppliedAt: e.AppliedAt, UndoneAt: e.UndoneAt,
	}
	if a := e.Alias; a != nil {
		j.Alias = &aliasJSON{Resource: a.Resource, At: a.At}
	}
	if d := e.Decision; d != nil {
		j.Decision = &decisionJSON{Kind: d.Kind, Reason: d.Reason, Seen: d.Seen, Evidence: d.Evidence, By: d.By, At: d.At, Attempts: d.Attempts}
	}
	return j
}

func (j *entryJSON) into(e *Entry) {
	e.Seq, e.State, e.Reason, e.Detail, e.Outcome = j.Seq, j.State, j.Reason, j.Detail, j.Outcome
	e.PerformBy, e.Late, e.Doubted, e.Warnings = j.PerformBy, j.Late, j.Doubted, j.Warnings
	e.ResourceKey, e.RecordedBy, e.Posted = unhex(j.ResourceKey), j.RecordedBy, unhex(j.Posted)
	e.NowDigest, e.Now, e.NotBefore, e.RollbackID = j.NowDigest, Image{JSON: j.Now}, j.NotBefore, j.RollbackID
	e.RecordedAt, e.AppliedAt, e.UndoneAt, e.Decision, e.Alias = j.RecordedAt, j.AppliedAt, j.UndoneAt, nil, nil
	if a := j.Alias; a != nil {
		e.Alias = &Alias{Resource: a.Resource, At: a.At}
	}
	if d := j.Decision; d != nil {
		e.Decision = &Decision{Kind: d.Kind, Reason: d.Reason, Seen: d.Seen, Evidence: d.Evidence, By: d.By, At: d.At, Attempts: d.Attempts}
	}
}

type attemptJSON struct {
	N          int       `json:"n"`
	RollbackID uuid.UUID `json:"rollback_id"`
	Epoch      int64     `json:"epoch"`
	Seen       string    `json:"seen,omitempty"`
	Request    string    `json:"request,omitempty"`
	StartedAt  time.Time `json:"started_at"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
	Result     string    `json:"result,omitempty"`
	Status     int       `json:"status,omitempty"`
	Burnt      bool      `json:"burnt,omitempty"`
	Detail     string    `json:"detail,omitempty"`
}

func attemptToJSON(a *Attempt) *attemptJSON {
	j := attemptJSON(*a)
	return &j
}

type rollbackJSON struct {
	State       RollbackState `json:"state"`
	Waiting     *waitingJSON  `json:"waiting,omitempty"`
	Only        []string      `json:"only,omitempty"`
	Exclude     []string      `json:"exclude,omitempty"`
	After       int           `json:"after,omitempty"`
	UpTo        int           `json:"up_to,omitempty"`
	Also        []uuid.UUID   `json:"also,omitempty"`
	OnStuck     OnStuck       `json:"on_stuck"`
	RequestedBy string        `json:"requested_by"`
	Reason      string        `json:"reason,omitempty"`
	Again       bool          `json:"again,omitempty"`
	Cancelling  bool          `json:"cancelling,omitempty"`
	Words       []wordJSON    `json:"second_words,omitempty"`
	Complete    bool          `json:"complete"`
	CreatedAt   time.Time     `json:"created_at"`
	StartedAt   time.Time     `json:"started_at,omitzero"`
	FinishedAt  time.Time     `json:"finished_at,omitzero"`
	Epoch       int64         `json:"epoch"`
	Holder      string        `json:"holder,omitempty"`
	Restore     bool          `json:"restore_snapshot,omitempty"`
}

type wordJSON struct {
	System  string    `json:"system"`
	Detail  string    `json:"detail"`
	AskedAt time.Time `json:"asked_at"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	GivenAt time.Time `json:"given_at,omitzero"`
}

type waitingJSON struct {
	Why   string    `json:"why"`
	Until time.Time `json:"until,omitzero"`
	On    string    `json:"on,omitempty"`
}

func rollbackToJSON(r *Rollback) *rollbackJSON {
	j := &rollbackJSON{
		State: r.State, Only: termStrings(r.Select.Only), Exclude: termStrings(r.Select.Exclude), After: r.Select.After,
		UpTo: r.Select.UpTo, Also: r.Select.Also,
		OnStuck: r.OnStuck, RequestedBy: r.RequestedBy, Reason: r.Reason, Again: r.Again, Cancelling: r.Cancelling,
		Complete: r.Complete, CreatedAt: r.CreatedAt, StartedAt: r.StartedAt, FinishedAt: r.FinishedAt,
		Epoch: r.Epoch, Holder: r.Holder, Restore: r.RestoreSnapshot,
	}
	for _, w := range r.Words {
		j.Words = append(j.Words, wordJSON(w))
	}
	if r.Waiting != nil {
		w := waitingJSON(*r.Waiting)
		j.Waiting = &w
	}
	return j
}

func (j *rollbackJSON) into(r *Rollback) error {
	only, err := parseTerms("/only", j.Only)
	if err != nil {
		return err
	}
	exclude, err := parseTerms("/exclude", j.Exclude)
	if err != nil {
		return err
	}
	r.State, r.OnStuck = j.State, j.OnStuck
	r.Select = Selection{Only: only, Exclude: exclude, After: j.After, UpTo: j.UpTo, Also: j.Also}
	r.RequestedBy, r.Reason, r.Again, r.Cancelling = j.RequestedBy, j.Reason, j.Again, j.Cancelling
	r.Complete, r.CreatedAt, r.StartedAt, r.FinishedAt = j.Complete, j.CreatedAt, j.StartedAt, j.FinishedAt
	r.Epoch, r.Holder, r.Waiting, r.RestoreSnapshot = j.Epoch, j.Holder, nil, j.Restore
	r.Words = nil
	for _, w := range j.Words {
		r.Words = append(r.Words, Word(w))
	}
	if j.Waiting != nil {
		w := Waiting(*j.Waiting)
		r.Waiting = &w
	}
	return nil
}

func hexOf(b [32]byte) string {
	if b == ([32]byte{}) {
		return ""
	}
	return hex.EncodeToString(b[:])
}

func unhex(s string) (out [32]byte) {
	if len(s) == hex.EncodedLen(len(out)) {
		_, _ = hex.Decode(out[:], []byte(s)) // written by hexOf; anything else stays zero
	}
	return out
}
