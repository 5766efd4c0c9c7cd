package ledger

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// An askable is a remediator whose system answers as it is told to.
type askable struct {
	Remediator

	mark  string
	calls atomic.Int64
	check func(ctx context.Context) Credential
}

func (a *askable) CredentialMark() string { return a.mark }

func (a *askable) CheckCredential(ctx context.Context) Credential {
	a.calls.Add(1)
	return a.check(ctx)
}

func answers(c Credential) func(context.Context) Credential {
	return func(context.Context) Credential { return c }
}

// silence answers when the call is given up.
func silence(ctx context.Context) Credential {
	<-ctx.Done()
	return Credential{State: CredentialUnknown}
}

// A third party that does not answer holds nobody up for longer than a second, and of those that come later nobody.
func TestSlowCredentialCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s, a := newCredentials(time.Now), &askable{mark: "a", check: silence}
		for i, want := range []time.Duration{credentialWait, credentialWait, credentialWait} { // the second and third at once
			if got := s.of(t.Context(), "sys", a); got != nil {
				t.Errorf("%d: got %+v", i, got)
			}
			if waited := time.Since(began); waited != want {
				t.Errorf("%d: answered after %s, want %s", i, waited, want)
			}
		}
		if n := a.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		time.Sleep(credentialCall)
		if got := s.of(t.Context(), "sys", a); got == nil || got.State != CredentialUnknown || time.Since(began) != credentialCall+credentialWait {
			t.Errorf("once it was given up: %+v", got)
		}
	})
}

// While it is slow, what was known before stands.
func TestSlowCheckKeepsWhatWasKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, a := newCredentials(time.Now), &askable{mark: "a", check: answers(Credential{State: CredentialRefused})}
		s.of(t.Context(), "sys", a)
		time.Sleep(credentialBad)
		a.check = silence
		if got := s.of(t.Context(), "sys", a); got == nil || got.State != CredentialRefused {
			t.Errorf("got %+v", got)
		}
		a.mark = "b" // another credential: nothing is known of it
		if got := s.of(t.Context(), "sys", a); got != nil {
			t.Errorf("of another: %+v", got)
		}
		time.Sleep(credentialCall)
	})
}

// A gone caller ends the waiting, and not the check.
func TestCheckOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s, a := newCredentials(time.Now), &askable{mark: "a", check: func(ctx context.Context) Credential {
			select {
			case <-release:
				return Credential{State: CredentialAccepted}
			case <-ctx.Done():
				return Credential{State: CredentialUnknown}
			}
		}}
		gone, leave := context.WithCancel(t.Context())
		leave()
		s.of(gone, "sys", a)
		close(release)
		synctest.Wait()
		if got := s.last("sys"); got == nil || got.State != CredentialAccepted {
			t.Errorf("got %+v", got)
		}
		time.Sleep(credentialWait)
	})
}

func TestCredentialIsAskedAboutAgain(t *testing.T) {
	for state, keeps := range map[CredentialState]time.Duration{
		CredentialAccepted: credentialGood, CredentialUnasked: credentialGood, CredentialRefused: credentialBad, CredentialUnknown: credentialNever,
	} {
		synctest.Test(t, func(t *testing.T) {
			s, a := newCredentials(time.Now), &askable{mark: "a", check: answers(Credential{State: state})}
			ask := func(want int64) {
				t.Helper()
				if s.of(t.Context(), "sys", a); a.calls.Load() != want {
					t.Errorf("%s: %d calls, want %d", state, a.calls.Load(), want)
				}
			}
			ask(1)
			time.Sleep(keeps - time.Microsecond)
			ask(1)
			time.Sleep(time.Microsecond)
			ask(2)
			a.mark = "b"
			ask(3)
			a.mark = ""
			ask(3)
			time.Sleep(credentialWait)
		})
	}
}

func TestCredentialWarning(t *testing.T) {
	now := time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)
	planned := &Window{WindowDraft: WindowDraft{EndsAt: now.Add(4 * time.Hour), Buffer: time.Hour}}
	for _, c := range []struct {
		name   string
		cred   *Credential
		window *Window
		want   string
	}{
		{"nothing known", nil, planned, ""},
		{"no end", &Credential{State: CredentialAccepted}, planned, ""},
		{"unknown", &Credential{State: CredentialUnknown, Detail: "x"}, planned, ""},
		{"refused", &Credential{State: CredentialRefused, Detail: "whoami answered 401"}, planned, "credential_refused: system s does not take the credential of the ledger (whoami answered 401)"},
		{"later", &Credential{ExpiresAt: now.Add(5*time.Hour + 1)}, planned, ""},
		{"at the very end", &Credential{ExpiresAt: now.Add(5 * time.Hour)}, planned, "credential_expires: the credential of system s ends at 2026-11-22T03:00:00Z, and this window may need it until 2026-11-22T03:00:00Z"},
		{"ended", &Credential{ExpiresAt: now}, planned, "credential_expires: the credential of system s ended at 2026-11-21T22:00:00Z"},
		{"soon, nothing planned", &Credential{ExpiresAt: now.Add(foreseeable)}, &Window{}, "credential_expires: "},
		{"some day, nothing planned", &Credential{ExpiresAt: now.Add(foreseeable + 1)}, &Window{}, ""},
	} {
		if got := c.cred.Warning("s", c.window, now); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
