package ledger

import "context"

// A Description is what a remediator says of itself.
type Description struct {
	Name     string            // of the plugin; empty: the remediator is built in
	SHA256   string            // of the plugin's executable; empty: built in
	Page     string            // one paragraph for people; empty: none
	BackedBy string            // what stands behind it: the real server, a mock, fixtures; empty: nobody said
	Kinds    []KindDescription // in the order of their names
}

// A KindDescription is one kind of entries.
type KindDescription struct {
	Kind       string // empty: any
	Says       string
	Actions    []Action      // that it undoes; empty: nobody said
	Reversible Reversibility // the best grade; empty: it depends on the entry
	Resource   []Member      // what names its resource; empty: nobody said
}

// A Member is one member of a resource.
type Member struct {
	Name     string
	Type     string // string, integer, number, boolean, object, array
	Required bool
	Says     string
}

// A Describer is a [Remediator] that can say what it serves beyond the names of its kinds.
type Describer interface {
	// Describe says it. It makes no call to a third party. Errors are as those of Look.
	Describe(ctx context.Context) (Description, error)
}

// A Described is one configured system with what its remediator says of itself.
type Described struct {
	System      System
	Description Description
	Err         error // it could not say: its plugin is broken, or another file than the one that was pinned
}

// Remediators describes what serves each configured system, in the order of their names.
func (l *Ledger) Remediators(ctx context.Context) []Described {
	var out []Described
	for _, s := range l.systems.List() {
		d := Described{System: s.System}
		_, rem, err := l.systems.Find(s.Name)
		switch describer, ok := rem.(Describer); {
		case err != nil:
			continue // it was taken away just now
		case ok:
			d.Description, d.Err = describer.Describe(ctx)
		default:
			d.Description = DescribeKinds(rem)
		}
		out = append(out, d)
	}
	return out
}

// DescribeKinds is the description of a remediator that says no more than the names of its kinds.
func DescribeKinds(r Remediator) Description {
	var d Description
	for _, k := range r.Kinds() {
		d.Kinds = append(d.Kinds, KindDescription{Kind: k})
	}
	return d
}
