package ledger

import (
	"context"
	"fmt"
	"time"
)

// A CredentialState says what a third party makes of our credential.
type CredentialState string

const (
	// CredentialAccepted: it was taken, by a read that needs it.
	CredentialAccepted CredentialState = "accepted"
	// CredentialRefused: it was refused.
	CredentialRefused CredentialState = "refused"
	// CredentialUnknown: there was no answer, or one that says nothing about it.
	CredentialUnknown CredentialState = "unknown"
	// CredentialUnasked: there is no way to ask; what it says of its own end is all there is.
	CredentialUnasked CredentialState = "unasked"
)

// A Credential is what was found out about the credential of one system. It holds nothing of the credential itself.
type Credential struct {
	State     CredentialState
	ExpiresAt time.Time // zero: it does not end, or nobody says when
	CheckedAt time.Time
	Detail    string // for people: why it is refused or unknown; never a body
}

// A CredentialChecker is a [Remediator] whose system can be asked about the credential that it is called with.
type CredentialChecker interface {
	// CredentialMark is another for another credential, and tells nothing of it. Empty: there is nothing to find out. It
	// makes no call.
	CredentialMark() string
	// CheckCredential finds out. It makes at most one call, which reads.
	CheckCredential(ctx context.Context) Credential
}

// foreseeable is how far ahead the end of a credential is worth a word where a window has no planned end.
const foreseeable = 24 * time.Hour

// needsUntil is until when a window may need a credential: it may turn back as late as its end, and that takes its
// buffer.
func (w *Window) needsUntil(now time.Time) time.Time {
	if w.EndsAt.IsZero() {
		return now.Add(foreseeable)
	}
	return w.EndsAt.Add(w.Buffer)
}

// Warning says what a window has to know of the credential of a system; "" for nothing.
func (c *Credential) Warning(system string, w *Window, now time.Time) string {
	until := w.needsUntil(now)
	switch {
	case c == nil:
		return ""
	case c.State == CredentialRefused:
		return fmt.Sprintf("credential_refused: system %s does not take the credential of the ledger (%s): nothing can be undone there until that is put right", system, c.Detail)
	case c.ExpiresAt.IsZero() || c.ExpiresAt.After(until):
		return ""
	case !c.ExpiresAt.After(now):
		return fmt.Sprintf("credential_expires: the credential of system %s ended at %s: nothing can be undone there until it is renewed", system, c.ExpiresAt.UTC().Format(time.RFC3339))
	default:
		return fmt.Sprintf("credential_expires: the credential of system %s ends at %s, and this window may need it until %s", system,
			c.ExpiresAt.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339))
	}
}
