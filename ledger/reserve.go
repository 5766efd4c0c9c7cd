package ledger

import "context"

// A Use says what a change is for, which decides whether it is taken on a full disk: a store may keep space in reserve,
// so that what is recorded can still be rolled back.
type Use int

const (
	// UseNew: something that nobody depends on yet, such as an intent or a window. On a full disk it is refused, CodeFull,
	// before it takes any space: what a script cannot record, it does not do.
	UseNew Use = iota
	// UseFact: an effect that is there already or is being made. It is taken until half of the reserve is used.
	UseFact
	// UseUndo: a rollback's own, or an operator's word. It is taken until all of the reserve is used.
	UseUndo
)

// uses are the operations that may use the reserve; an operation that does not stand here may not.
var uses = map[string]Use{
	"report applied": UseFact,
	"void entry":     UseFact,
	"renew entry":    UseFact,
	"report doubt":   UseFact,

	"start rollback":   UseUndo,
	"claim rollback":   UseUndo,
	"renew lease":      UseUndo,
	"advance rollback": UseUndo,
	"wait":             UseUndo,
	"final look":       UseUndo,
	"finish rollback":  UseUndo,
	"keep evidence":    UseUndo,
	"pause rollback":   UseUndo,
	"resume rollback":  UseUndo,
	"cancel rollback":  UseUndo,
	"resolve entry":    UseUndo,

	"recover window": UseUndo,

	"ask for a second word": UseUndo,
	"confirm rollback":      UseUndo,

	"verify window": UseUndo,
	"seal window":   UseUndo,
	"reopen window": UseUndo,
	"keep window":   UseUndo,
}

type useKey struct{}

// WithUse says what the changes under ctx are for.
func WithUse(ctx context.Context, u Use) context.Context { return context.WithValue(ctx, useKey{}, u) }

// UseOf returns what a change under ctx is for; UseNew where nobody said.
func UseOf(ctx context.Context) Use {
	u, _ := ctx.Value(useKey{}).(Use)
	return u
}

// forOp says under ctx what op is for, unless that was said already.
func forOp(ctx context.Context, op string) context.Context {
	if _, said := ctx.Value(useKey{}).(Use); said {
		return ctx
	}
	return WithUse(ctx, uses[op])
}

// useOf returns what recording drafts is for: facts alone are taken on a full disk.
func useOf(drafts []checkedDraft) Use {
	for i := range drafts {
		if drafts[i].draft.State != EntryApplied {
			return UseNew
		}
	}
	return UseFact
}
