package api

import (
	"context"

	"sideledger/ledger"
	"sideledger/ledger/journal"
)

// journalPage is how many records are read together.
const journalPage = 500

// windowJournal streams the journal up to the head that it has now, and that head last. A journal that
// breaks off lacks its head line, which verifying shows. Its bytes follow from the head, which is its ETag.
func (a *API) windowJournal(ctx context.Context, in *call, w *pieces) error {
	win, err := a.ledger.Window(ctx, in.id)
	if err != nil {
		return err
	}
	head := win.Head
	if tag := etag(head.Number); known(w.c.Request(), tag) {
		return a.unchanged(w.c, tag)
	}
	w.tag = etag(head.Number)
	w.begin("application/jsonl", "")
	for after := int64(0); after < head.Number; {
		limit := min(journalPage, head.Number-after)
		list, err := a.ledger.Records(ctx, ledger.RecordQuery{WindowID: in.id, After: after, Limit: int(limit)})
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return &ledger.Error{Code: ledger.CodeInternal, Op: "read journal", ID: in.id.String(), Msg: "records are missing"}
		}
		for _, r := range list {
			if err := journal.WriteRecord(w, r); err != nil {
				return err
			}
			after = r.Number
		}
	}
	if err := journal.WriteHead(w, in.id.String(), head.Number, head.Hash); err != nil {
		return err
	}
	return w.flush()
}
