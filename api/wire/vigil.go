package wire

// HeaderHead is the header of an answer that names a record of a window's journal, and of a request that sends it back:
// "WINDOW NUMBER HASH SEAL". A client keeps the newest of each window; a ledger that was restored and lacks it goes into safe
// mode. Only what the server has sealed counts. A request may carry it up to 8 times.
const HeaderHead = "Ledger-Head"

// HeaderWarning is the header of every answer of a server that cannot keep all of its promises: it says why.
const HeaderWarning = "Ledger-Warning"

// HeaderDurability is the header of every answer to a change: what it survives. "local": it is on one disk. "replicated": it is on
// the disk of a synchronous standby too.
const HeaderDurability = "Ledger-Durability"

// An Aside is the answer (202) to a fact while the ledger is in safe mode: it is kept durably beside the ledger, and stands in
// it once an operator has recovered it.
type Aside struct {
	ID       string   `json:"id"`                 // of the entry
	WindowID string   `json:"window_id,omitzero"` // empty: not known
	State    string   `json:"state"`              // applied
	Warnings []string `json:"warnings"`
}

// An AsideList is the answer to a batch of facts, likewise.
type AsideList struct {
	Items []Aside `json:"items"`
}

// A SignedHead is the answer of GET /v1/head: the heads of all windows.
type SignedHead struct {
	Note string `json:"note"` // a signed note, a checkpoint in C2SP's format
	Key  string `json:"key"`  // the public half of its key: "NAME+HASH+KEY"
}
