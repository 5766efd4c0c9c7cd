package wire

import "time"

// A System is one configured third party, without secrets.
type System struct {
	Name       string     `json:"name"`
	Remediator string     `json:"remediator"`
	Profile    string     `json:"profile"` // empty: none
	URL        string     `json:"url"`     // without user information; empty for manual and command
	Effects    []string   `json:"effects"` // calls of scripts that are made there, as "METHOD /path*"; empty: none
	Disabled   bool       `json:"disabled"`
	Retry      Retry      `json:"retry"`
	Breaker    string     `json:"breaker"`    // closed, open
	OpenUntil  *time.Time `json:"open_until"` // while the breaker is open; null otherwise
	Parked     bool       `json:"parked"`     // it refused the credential: no calls until the next rollback
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
	Status   string   `json:"status"`            // ok; of /readyz also full: the disk is, and nothing new is taken; unavailable
	Warnings []string `json:"warnings,omitzero"` // promises that are not kept right now; nil: none
}
