package ledger

// A Canonicalizer is a [Remediator] whose third party writes one and the same state in more than one way: a
// time with and without milliseconds, a member that is left out where it has its default.
type Canonicalizer interface {
	// Canonical returns the image as its looks show it; an image that it cannot read, absence, and what is not
	// known come back as they are. It makes no call.
	Canonical(kind string, i Image) Image
}

// canonical returns the entry with its images as looks show them, for comparison only: what was recorded
// stays byte for byte what it was.
func (l *Ledger) canonical(e *Entry) *Entry {
	_, rem, err := l.systems.Find(e.System)
	if err != nil {
		return e // the look says what is wrong
	}
	c, ok := rem.(Canonicalizer)
	if !ok {
		return e
	}
	out := *e
	out.Before, out.After = c.Canonical(e.Kind, e.Before), c.Canonical(e.Kind, e.After)
	return &out
}
