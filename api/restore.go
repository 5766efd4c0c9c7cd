package api

import (
	"sideledger/api/wire"
	"sideledger/ledger"
)

// restoreOf reads the restore that a window names; nil: none. The ledger checks it and adds the rest.
func restoreOf(b *wire.Restore) *ledger.Draft {
	if b == nil {
		return nil
	}
	return &ledger.Draft{
		System: b.System, Kind: b.Kind, Resource: b.Resource, Before: ledger.Image{JSON: b.Before}, After: ledger.Image{JSON: b.After},
		Undo: recipe(b.Undo), Read: recipe(b.Read), Guard: recipe(b.Guard), Async: recipe(b.Async), Verify: recipe(b.Verify),
		Owned: b.Owned, Masked: b.Masked, Volatile: b.Volatile, Unordered: b.Unordered, Note: b.Note,
	}
}

// restoreToWire returns it as it was posted.
func restoreToWire(d *ledger.Draft) *wire.Restore {
	if d == nil {
		return nil
	}
	return &wire.Restore{
		System: d.System, Kind: d.Kind, Resource: d.Resource, Before: d.Before.JSON, After: d.After.JSON,
		Undo: d.Undo, Read: d.Read, Guard: d.Guard, Async: d.Async, Verify: d.Verify,
		Owned: d.Owned, Masked: d.Masked, Volatile: d.Volatile, Unordered: d.Unordered, Note: d.Note,
	}
}
