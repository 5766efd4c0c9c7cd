package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"sideledger/api/wire"
)

// readRestore reads --restore of `rollback window open`; nil: it is not given. A name that there is none of is refused
// here, since a file has nobody who would.
func (a *app) readRestore(value string) (*wire.Restore, error) {
	if value == "" {
		return nil, nil //nolint:nilnil // a window without a restore is no mistake
	}
	raw, err := (&inputs{stdin: a.stdin}).json("restore", value)
	if err != nil {
		return nil, err
	}
	r := new(wire.Restore)
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(r); err != nil {
		return nil, fmt.Errorf("--restore takes an object with system, kind, resource, before and undo: %w", err)
	}
	for name, required := range map[string]bool{
		"system": r.System == "", "kind": r.Kind == "", "resource": len(r.Resource) == 0, "before": len(r.Before) == 0 || string(r.Before) == "null",
	} {
		if required {
			return nil, fmt.Errorf("--restore lacks %s", name)
		}
	}
	return r, nil
}

// heading says where the plan comes to the restore of the snapshot; of a plan without one, or where it is closed, it says
// nothing.
func (t *textPlan) heading(s *wire.PlanStep) {
	switch {
	case s.Restore && s.Verdict != "waived" && !strings.HasPrefix(s.Detail, "closed: "):
		t.restored = true
		t.page.printf("      %s\n", t.page.paint(tintBold, strings.TrimSpace("then the snapshot is restored "+clean(t.window.Snapshot))+":"))
	case t.restored:
		t.restored = false
		t.page.printf("      %s\n", t.page.paint(tintBold, "then the rest:"))
	}
}
