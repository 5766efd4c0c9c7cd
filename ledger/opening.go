package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// A vaulted is the configured third parties behind the ledger's cipher. It is the one place where secret
// fields are opened: a remediator gets an entry in plain, and what it says comes back hidden. So nothing
// beyond it (comparison, plan, store, journal, API, log) has ever seen a value.
type vaulted struct {
	Systems
	cipher Cipher // nil: secret fields can neither be made nor opened
}

// Find implements [Systems].
func (v vaulted) Find(name string) (System, Remediator, error) {
	sys, rem, err := v.Systems.Find(name)
	if err != nil {
		return sys, nil, err
	}
	return sys, &opener{rem, v.cipher}, nil
}

// An opener opens the secret fields of entries for the remediator behind it.
type opener struct {
	inner  Remediator
	cipher Cipher
}

// An opened is an entry in plain.
type opened struct {
	entry  *Entry
	places hidden
	known  known
	values map[string]Secret // of everything that was opened, by fingerprint
	lent   []string          // secret pointers of the entry whose parts it takes over
	cipher Cipher
}

// errNoCipher says that there is nothing to open secret fields with.
var errNoCipher = errors.New("no key for secret fields is configured")

// open returns the entry in plain; nil: it has no secret fields. The parts that a late fact takes over from its
// resource's earliest entry are opened as that one's.
func (o *opener) open(e *Entry) (*opened, error) {
	lender := &e.Draft
	if e.Lender != nil {
		lender = e.Lender
	}
	if len(e.Secret)+len(lender.Secret)+len(e.Encrypted)+len(lender.Encrypted) == 0 {
		return nil, nil //nolint:nilnil // nothing to open is no error
	}
	if o.cipher == nil {
		return nil, errNoCipher
	}
	plain := *e
	out := &opened{entry: &plain, places: placesOf(e.Secret, lender.Secret), values: map[string]Secret{}, lent: lender.Secret, cipher: o.cipher}
	for _, p := range plain.parts() {
		from := lender
		if p.name == "after" {
			from = &e.Draft
		}
		if err := out.openPart(p, from); err != nil {
			return nil, err
		}
	}
	return out, out.known.learn(o.cipher, &plain.Draft, out.places)
}

// openPart puts the values of one part back. A marker without its ciphertext is an error: it would be taken
// for the value.
func (o *opened) openPart(p part, from *Draft) error {
	if !p.secretIn() {
		return nil
	}
	own := placesOf(from.Secret)
	r := rewriter{
		wants: func(path []token, rest []byte) bool { return beginsMarker(rest) && (!p.image || own.has(p, path)) },
		put: func(path []token, value json.RawMessage) (json.RawMessage, error) {
			field := "/" + p.name + pointerOf(path)
			i := slices.IndexFunc(from.Encrypted, func(c Encrypted) bool { return c.Field == field })
			if i < 0 {
				return nil, errors.New("a secret value is missing")
			}
			v, err := o.cipher.Decrypt(Field{Entry: from.ID, Name: field, DataKey: from.DataKey}, from.Encrypted[i].Text)
			if err != nil {
				return nil, err
			}
			plain := json.RawMessage(v.Reveal())
			if fp, err := fingerprintRaw(o.cipher, plain); err != nil || fp != markerText(value) {
				return nil, errors.New("a secret value does not belong to its fingerprint")
			}
			o.values[markerText(value)] = v
			if !p.image {
				o.known.add(o.cipher, plain)
			}
			return plain, nil
		},
	}
	plain, err := r.rewrite(*p.raw)
	*p.raw = plain
	return err
}

// unreadable says why a look or an undo cannot be prepared. It is for good: until the key is back.
func unreadable(err error) error {
	return &CallError{Class: CallDenied, Detail: "secret_unreadable: its secret fields cannot be opened with the keys of this server", Err: err}
}

// hideNow hides what a look has shown, at the places of the secret fields and wherever one of their values stands.
func (o *opened) hideNow(seen Look) (Look, error) {
	seen.Scope.fingerprintFunc = func(v any) string { return fingerprint(o.cipher, v) }
	if !seen.Known || !(part{raw: &seen.Now.JSON}).secretIn() {
		return seen, nil
	}
	seen.values = map[string]Secret{}
	now := part{name: "now", raw: &seen.Now.JSON, image: true}
	r := rewriter{
		wants: func(path []token, rest []byte) bool { return o.places.has(now, path) || o.known.holds(rest) },
		put: func(_ []token, value json.RawMessage) (json.RawMessage, error) {
			fp, err := fingerprintRaw(o.cipher, value)
			seen.values[fp] = NewSecret(string(value))
			return marker(fp), err
		},
	}
	bare := seen.Now.JSON
	shown, err := r.rewrite(bare)
	seen.bare, seen.Now = NewSecret(string(bare)), Image{JSON: shown}
	seen.shown = shown
	return seen, err
}

// revealed returns what a look showed, in plain.
func (l Look) revealed() Image {
	if l.bare.Empty() || !bytes.Equal(l.shown, l.Now.JSON) {
		return l.Now
	}
	return Image{JSON: json.RawMessage(l.bare.Reveal())}
}

// reveal returns a look in plain, for the remediator that made it. A plan may have put a state that it
// foresees in the place of what was seen: then each value is found by its fingerprint.
func (o *opened) reveal(seen Look) Look {
	seen.Now = seen.revealed()
	if !bytes.Contains(seen.Now.JSON, []byte(markerBegin)) {
		return seen
	}
	values := maps.Clone(o.values)
	maps.Copy(values, seen.values)
	r := rewriter{
		wants: func(_ []token, rest []byte) bool { return beginsMarker(rest) },
		put: func(_ []token, value json.RawMessage) (json.RawMessage, error) {
			if v, ok := values[markerText(value)]; ok {
				return json.RawMessage(v.Reveal()), nil
			}
			return value, nil
		},
	}
	if plain, err := r.rewrite(seen.Now.JSON); err == nil {
		seen.Now.JSON = plain
	}
	return seen
}

// learnSeen takes in the values that a look showed, so that no sentence repeats them.
func (o *opened) learnSeen(seen Look) {
	for _, v := range seen.values {
		o.known.add(o.cipher, json.RawMessage(v.Reveal()))
	}
}

// hideError hides values in what is said of a call.
func (o *opened) hideError(err error) error {
	var call *CallError
	if err == nil || !errors.As(err, &call) {
		if err != nil && o.known.hide(err.Error()) != err.Error() {
			return errors.New(o.known.hide(err.Error()))
		}
		return err
	}
	out := *call
	out.Detail = o.known.hide(call.Detail)
	if call.Err != nil && o.known.hide(call.Err.Error()) != call.Err.Error() {
		out.Err = errors.New(o.known.hide(call.Err.Error()))
	}
	return &out
}

func (o *opened) hideAll(list []string) []string {
	out := slices.Clone(list)
	for i, s := range out {
		out[i] = o.known.hide(s)
	}
	return out
}

// Kinds implements [Remediator].
func (o *opener) Kinds() []string { return o.inner.Kinds() }

// Renamed implements [Renamer], for remediators that do. A name is no secret: one in it is refused at recording.
func (o *opener) Renamed(d *Draft) json.RawMessage {
	if r, ok := o.inner.(Renamer); ok {
		return r.Renamed(d)
	}
	return nil
}

// Canonical implements [Canonicalizer], for remediators that do. Fingerprints stand for themselves in it.
func (o *opener) Canonical(kind string, i Image) Image {
	if c, ok := o.inner.(Canonicalizer); ok {
		return c.Canonical(kind, i)
	}
	return i
}

// CredentialMark implements [CredentialChecker], for remediators that do.
func (o *opener) CredentialMark() string {
	if c, ok := o.inner.(CredentialChecker); ok {
		return c.CredentialMark()
	}
	return ""
}

// CheckCredential implements [CredentialChecker], for remediators that do.
func (o *opener) CheckCredential(ctx context.Context) Credential {
	if c, ok := o.inner.(CredentialChecker); ok {
		return c.CheckCredential(ctx)
	}
	return Credential{State: CredentialUnasked}
}

// Held implements [Counter], for remediators that do.
func (o *opener) Held(ctx context.Context) (n int, known bool, err error) {
	if c, ok := o.inner.(Counter); ok {
		return c.Held(ctx)
	}
	return 0, false, nil
}

// Admits implements [Effector], for remediators that do.
func (o *opener) Admits(c EffectCall) error {
	if e, ok := o.inner.(Effector); ok {
		return e.Admits(c)
	}
	return Invalid("/entry/system", "this system takes no calls")
}

// Rehearse implements [Rehearser], for remediators that do.
func (o *opener) Rehearse(kind, name string, place json.RawMessage) Canary {
	if h, ok := o.inner.(Rehearser); ok {
		return h.Rehearse(kind, name, place)
	}
	return Canary{Why: "its remediator does not know how to make a resource of its own"}
}

// List implements [Lister], for remediators that do.
func (o *opener) List(ctx context.Context, kind string, place json.RawMessage) (Listing, error) {
	if l, ok := o.inner.(Lister); ok {
		return l.List(ctx, kind, place)
	}
	return Listing{Why: "its remediator does not list what is there"}, nil
}

// Place implements [Lister], for remediators that do.
func (o *opener) Place(kind string, place json.RawMessage) json.RawMessage {
	if l, ok := o.inner.(Lister); ok {
		return l.Place(kind, place)
	}
	return nil
}

// Derive implements [Effector]. A draft that is being recorded is in plain still.
func (o *opener) Derive(ctx context.Context, c EffectCall, d *Draft) (Derived, error) {
	return o.inner.(Effector).Derive(ctx, c, d) //nolint:forcetypeassert // Admits is asked first
}

// Send implements [Effector]. A call and its answer are between the script and the third party: nothing of them is
// stored but what the entry says.
func (o *opener) Send(ctx context.Context, c EffectCall, readyFunc func() error) (EffectAnswer, error) {
	return o.inner.(Effector).Send(ctx, c, readyFunc) //nolint:forcetypeassert // Admits is asked first
}

// Describe implements [Describer], for remediators that do.
func (o *opener) Describe(ctx context.Context) (Description, error) {
	if d, ok := o.inner.(Describer); ok {
		return d.Describe(ctx)
	}
	return DescribeKinds(o.inner), nil
}

// Check implements [Remediator]. A draft that is being recorded is in plain still.
func (o *opener) Check(d *Draft) (Grading, error) {
	p, err := o.open(&Entry{Draft: *d})
	switch {
	case err != nil:
		return Grading{}, &Error{Code: CodeUnavailable, Op: "open secret fields", ID: d.ID.String(), Msg: "its secret fields cannot be opened with the keys of this server", Err: err}
	case p == nil:
		return o.inner.Check(d)
	}
	g, err := o.inner.Check(&p.entry.Draft)
	var e *Error
	if errors.As(err, &e) {
		said := *e
		said.Field, said.Msg = p.known.hide(e.Field), p.known.hide(e.Msg)
		err = &said
	}
	g.Warnings = p.hideAll(g.Warnings)
	return g, err
}

// Look implements [Remediator].
func (o *opener) Look(ctx context.Context, e *Entry) (Look, error) {
	p, err := o.open(e)
	switch {
	case err != nil:
		return Look{}, unreadable(err)
	case p == nil:
		return o.inner.Look(ctx, e)
	}
	seen, err := o.inner.Look(ctx, p.entry)
	if err != nil {
		return Look{}, p.hideError(err)
	}
	if p.names(seen.Alias) {
		return Look{}, &CallError{Class: CallDenied, Detail: nameless}
	}
	if seen, err = p.hideNow(seen); err != nil {
		return Look{}, &CallError{Class: CallAnswered, Detail: "what it shows cannot be read", Err: err}
	}
	return seen, nil
}

// Undo implements [Remediator].
func (o *opener) Undo(ctx context.Context, e *Entry, seen Look) (Answer, error) {
	p, err := o.open(e)
	switch {
	case err != nil:
		return Answer{}, unreadable(err)
	case p == nil:
		return o.inner.Undo(ctx, e, seen)
	}
	p.learnSeen(seen)
	a, err := o.inner.Undo(ctx, p.entry, p.reveal(seen))
	if err == nil && p.names(a.Alias) {
		return Answer{}, &CallError{Class: CallAmbiguous, Detail: nameless} // done, and nobody can look whether
	}
	a.Detail, a.Residue = p.known.hide(a.Detail), p.hideAll(a.Residue)
	return a, p.hideError(err)
}

// Preview implements [Remediator]. Whether and what would be sent is decided by the real values; what is shown
// is made anew from the entry with words in their places.
func (o *opener) Preview(e *Entry, seen Look) (Request, error) {
	p, err := o.open(e)
	switch {
	case err != nil:
		return Request{}, unreadable(err)
	case p == nil:
		return o.inner.Preview(e, seen)
	}
	p.learnSeen(seen)
	real, err := o.inner.Preview(p.entry, p.reveal(seen))
	if err != nil {
		return Request{}, p.hideError(err)
	}
	stand, standSeen, err := p.standIn(seen)
	if err != nil {
		return Request{}, unreadable(err)
	}
	shown, err := o.inner.Preview(stand, standSeen)
	if err != nil { // its recipe cannot be read with words in it: the method and the sentence have to do
		shown = Request{Method: real.Method, Summary: real.Summary, Credential: real.Credential}
	}
	shown.Repeatable = real.Repeatable
	return p.hideRequest(shown), nil
}
