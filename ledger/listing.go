package ledger

import (
	"context"
	"encoding/json"
	"time"
)

// A Lister is a [Remediator] that can list what its system holds.
type Lister interface {
	// List lists the resources of a kind in a place: members of a resource that say where. It changes nothing. Errors
	// are as those of Look.
	List(ctx context.Context, kind string, place json.RawMessage) (Listing, error)
	// Place takes out of a resource, or of the members that somebody gave, what of them says where: two places that
	// are the same there have the same list. It makes no call.
	Place(kind string, place json.RawMessage) json.RawMessage
}

// A Listing is what a system holds of one kind in one place.
type Listing struct {
	Why   string          // why it cannot be listed; empty: it was
	Place json.RawMessage // what of the place that was given says where
	Items []Listed
	Part  bool // there may be more than these
}

// Listed is one resource of a list.
type Listed struct {
	Resource json.RawMessage // what names it, as an entry would
	Created  time.Time       // by the third party's clock; zero: it does not say
	Changed  time.Time       // likewise
	Shows    json.RawMessage // the element; it may hold what nobody is to see
}
