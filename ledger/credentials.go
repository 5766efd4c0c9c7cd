package ledger

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// The times of a check. Nothing that is recorded waits longer than credentialWait for it, and of those that come while
// it is under way only the ones that fall into that time wait at all.
const (
	credentialWait  = time.Second
	credentialCall  = 10 * time.Second
	credentialGood  = 5 * time.Minute  // how long one that was taken is not asked about again
	credentialBad   = 30 * time.Second // one that was refused
	credentialNever = time.Minute      // one of which nothing was found out
)

// credentials remembers what was found out about the credential of each system. It is safe for concurrent use.
type credentials struct {
	clock Clock

	mu     sync.Mutex
	checks map[string]*credentialCheck // the last one, by system
}

// A credentialCheck is one check, under way or over.
type credentialCheck struct {
	mark   string
	done   chan struct{} // closed when found is there
	waited chan struct{} // closed when nobody waits for it any more
	found  Credential
	before *Credential // what the check before it found of the same credential; nil: nothing
}

func newCredentials(clock Clock) *credentials {
	return &credentials{clock: clock, checks: map[string]*credentialCheck{}}
}

// of returns what is known of a system's credential, asking if that is old; nil: nothing is known, or there is nothing
// to know. It waits for credentialWait at most.
func (s *credentials) of(ctx context.Context, system string, rem Remediator) *Credential {
	asker, ok := rem.(CredentialChecker)
	if !ok {
		return nil
	}
	mark := asker.CredentialMark()
	if mark == "" {
		return nil
	}
	c := s.current(ctx, system, mark, asker)
	select {
	case <-c.done:
	case <-c.waited:
	case <-ctx.Done():
	}
	return c.known()
}

// known returns what the check found, or while it is under way what the one before it had found.
func (c *credentialCheck) known() *Credential {
	select {
	case <-c.done:
		return &c.found
	default:
		return c.before
	}
}

// current returns the check that counts for this credential, and begins one where that is old or missing.
func (s *credentials) current(ctx context.Context, system, mark string, asker CredentialChecker) *credentialCheck {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.checks[system]
	if old != nil && old.mark == mark && !s.isOld(old) {
		return old
	}
	c := &credentialCheck{mark: mark, done: make(chan struct{}), waited: make(chan struct{})}
	if old != nil && old.mark == mark {
		c.before = old.known()
	}
	s.checks[system] = c
	time.AfterFunc(credentialWait, func() { close(c.waited) })
	go func() {
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), credentialCall)
		defer cancel()
		c.found = asker.CheckCredential(call)
		c.found.CheckedAt = s.clock.Now()
		close(c.done)
	}()
	return c
}

// isOld reports whether a check is over and what it found does not count any more.
func (s *credentials) isOld(c *credentialCheck) bool {
	select {
	case <-c.done:
	default:
		return false
	}
	keeps := credentialNever
	switch c.found.State {
	case CredentialAccepted, CredentialUnasked:
		keeps = credentialGood
	case CredentialRefused:
		keeps = credentialBad
	case CredentialUnknown:
	}
	return s.clock.Now().Sub(c.found.CheckedAt) >= keeps
}

// last returns what was found out last, without asking; nil: nothing.
func (s *credentials) last(system string) *Credential {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.checks[system]
	if c == nil {
		return nil
	}
	return c.known()
}

// checkAll asks about the credentials of all systems.
func (l *Ledger) checkAll(ctx context.Context) map[string]*Credential {
	var names []string
	for _, s := range l.systems.List() {
		if !s.Disabled {
			names = append(names, s.Name)
		}
	}
	return l.ask(ctx, names)
}

// ask asks about the credentials of systems, all at once.
func (l *Ledger) ask(ctx context.Context, names []string) map[string]*Credential {
	var mu sync.Mutex
	var all sync.WaitGroup
	out := map[string]*Credential{}
	for _, name := range names {
		_, rem, err := l.systems.Find(name)
		if err != nil {
			continue
		}
		one := func() {
			c := l.credentials.of(ctx, name, rem)
			mu.Lock()
			defer mu.Unlock()
			out[name] = c
		}
		if len(names) == 1 {
			one()
			break
		}
		all.Go(one)
	}
	all.Wait()
	return out
}

// credentialWarnings says what a window has to know of credentials, in the order of the systems' names.
func credentialWarnings(known map[string]*Credential, w *Window, now time.Time) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if text := known[name].Warning(name, w, now); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// checkSystems asks about the credentials of the systems that drafts name.
func (l *Ledger) checkSystems(ctx context.Context, list []checkedDraft) map[string]*Credential {
	var names []string
	for i := range list {
		if name := list[i].draft.System; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return l.ask(ctx, names)
}

// CredentialWarnings says what a window has to know of the credentials of all systems, as far as that was found out
// before: it asks nobody. Codes: not_found.
func (l *Ledger) CredentialWarnings(ctx context.Context, windowID uuid.UUID) (map[string]string, error) {
	w, err := l.store.FindWindow(ctx, windowID)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, s := range l.systems.List() {
		if text := l.credentials.last(s.Name).Warning(s.Name, w, l.clock.Now()); text != "" && !s.Disabled {
			out[s.Name] = text
		}
	}
	return out, nil
}
