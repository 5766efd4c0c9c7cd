package ledger

import "context"

// against compares a call with the stored answer of its key: a [ReplayError] if it is the same call, and
// CodeInvalid if it is another one. It returns nil where there is no answer.
func (o *Once) against(r *Reply) error {
	switch {
	case r == nil:
		return nil
	case r.RequestHash != o.RequestHash && r.RequestHash != o.PlainHash:
		return Invalid("Idempotency-Key", "this key was used for another request body; take a new key")
	}
	return &ReplayError{Reply: *r}
}

// Answered looks for the first answer of a call before anything of the call is checked, since by now a
// check might refuse what was done then. It returns a [ReplayError] if there is one, nil if there is none,
// and CodeInvalid if the key was used for another request body. A call that comes between is told so by
// the change itself, which looks again under the fence.
func (l *Ledger) Answered(ctx context.Context, o *Once) error {
	r, err := l.store.GetReply(ctx, o.Key)
	if err != nil {
		return err
	}
	return o.against(r)
}

// KeepReply stores the refusal of a call under its Idempotency-Key, so that the same key gets the same
// answer again. It does nothing for a key that has an answer. That of an effect call is kept in the place of its intent: one
// replica records it or another one refuses it, and what is there first holds for both.
func (l *Ledger) KeepReply(ctx context.Context, o *Once, r Reply) error {
	key := o.Key
	if o.refusal != (ReplyKey{}) {
		key = o.refusal
	}
	r.RequestHash, r.At = o.RequestHash, l.clock.Now()
	return l.store.KeepReply(ctx, key, r)
}
