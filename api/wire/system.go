package wire

import "time"

// A System is one configured third party, without secrets.
type System struct {
	Name       string      `json:"name"`
	Remediator string      `json:"remediator"`
	Profile    string      `json:"profile"` // empty: none
	URL        string      `json:"url"`     // without user information; empty for manual and command
	Effects    []string    `json:"effects"` // calls of scripts that are made there, as "METHOD /path*"; empty: none
	Disabled   bool        `json:"disabled"`
	Retry      Retry       `json:"retry"`
	Breaker    string      `json:"breaker"`    // closed, open
	OpenUntil  *time.Time  `json:"open_until"` // while the breaker is open; null otherwise
	Credential *Credential `json:"credential"` // what was found out about it; null: nothing, or there is no way
	Parked     bool        `json:"parked"`     // it refused the credential: no calls until the next rollback
}

// A Credential is what was found out about the credential of a system. It holds nothing of it.
type Credential struct {
	State     string     `json:"state"`      // accepted, refused, unknown, unasked: it is not asked, and says its end itself
	ExpiresAt *time.Time `json:"expires_at"` // null: it does not end, or nobody says when
	CheckedAt time.Time  `json:"checked_at"`
	Detail    string     `json:"detail"`
	// Warning says what the window that the list was asked for has to know of it; empty: nothing.
	Warning string `json:"warning"`
}

// Retry is how a system is asked again.
type Retry struct {
	Base     string `json:"base"`     // duration
	Cap      string `json:"cap"`      // duration
	Attempts int    `json:"attempts"` // answers that may be burnt on one entry
}

// A SystemList lists all systems by name. It has one page.
type SystemList struct {
	Items []System `json:"items"`
}

// A Version says what runs.
type Version struct {
	Version string `json:"version"`
}

// A Status is what /livez and /readyz answer.
type Status struct {
	Status     string   `json:"status"`              // ok; of /readyz also full: the disk is, and nothing new is taken; unavailable
	Durability string   `json:"durability,omitzero"` // of /readyz: what an answered record survives, local or replicated; empty: not said
	Warnings   []string `json:"warnings,omitzero"`   // promises that are not kept right now; nil: none
}
