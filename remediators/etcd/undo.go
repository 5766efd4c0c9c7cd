package etcd

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"sideledger/ledger"
	"sideledger/remediators"
)

// ready builds the undo from what was seen: one transaction that holds only if the key was not touched since, not even
// by somebody who wrote the same value. The error is a [ledger.CallError] of class CallDenied.
func (r *Remediator) ready(e *ledger.Entry, seen ledger.Look) (remediators.Call, error) {
	var none remediators.Call
	key, err := parseKey(e.Where())
	if err != nil {
		return none, remediators.Denied("its resource cannot be read")
	}
	compare := map[string]any{"key": []byte(key), "result": "EQUAL"}
	switch {
	case seen.Now.IsAbsent():
		compare["target"], compare["create_revision"] = "CREATE", "0"
	case seen.Validator == "":
		return none, remediators.Denied("what was seen has no mod_revision")
	default:
		compare["target"], compare["mod_revision"] = "MOD", seen.Validator
	}
	success, err := change(e, key, seen)
	if err != nil {
		return none, err
	}
	call := post(txnPath, map[string]any{"compare": []any{compare}, "success": []any{success}})
	return call, r.client.Permits(call)
}

// change is what the transaction does.
func change(e *ledger.Entry, key string, seen ledger.Look) (map[string]any, error) {
	if e.Before.IsAbsent() {
		return map[string]any{"request_delete_range": map[string]any{"key": []byte(key)}}, nil
	}
	before, err := parseImage("/before", e.Before)
	if err != nil || before == nil {
		return nil, remediators.Denied("the before-image is unknown: there is nothing to bring back")
	}
	if where, found := remediators.FindMask(e.Before.JSON, "/before"); found {
		return nil, remediators.Denied("secret_missing: " + where)
	}
	value, _ := before.bytes() // parseImage has decoded it
	put := map[string]any{"key": []byte(key), "value": value}
	leaseIsTheirs := len(e.Owned) > 0 && !slices.ContainsFunc(e.Owned, func(p string) bool { return p == "" || p == "/lease" })
	switch {
	case leaseIsTheirs && !seen.Now.IsAbsent():
		put["ignore_lease"] = true
	case before.Lease != "":
		put["lease"] = before.Lease
	}
	return map[string]any{"request_put": put}, nil
}

// Undo implements [ledger.Remediator].
func (r *Remediator) Undo(ctx context.Context, e *ledger.Entry, seen ledger.Look) (ledger.Answer, error) {
	call, err := r.ready(e, seen)
	if err != nil {
		return ledger.Answer{}, err
	}
	reply, err := r.client.Do(ctx, call)
	if err != nil {
		return ledger.Answer{}, err
	}
	ans, err := remediators.Classify(reply)
	switch {
	case err != nil:
		return ans, err
	case ans.Class == ledger.AnswerGone:
		ans.Class, ans.Detail = ledger.AnswerRefused, "answered 404: the lease has ended, or this is no etcd"
	case ans.Class == ledger.AnswerAccepted:
		return succeeded(reply)
	}
	return ans, nil
}

// succeeded reads the answer to a transaction. One whose condition did not hold answers 200 without `succeeded`.
func succeeded(reply remediators.Reply) (ledger.Answer, error) {
	var doc struct {
		Header    *struct{} `json:"header"`
		Succeeded bool      `json:"succeeded"`
	}
	if raw, why := remediators.Document(reply); why != "" || json.Unmarshal(raw, &doc) != nil || doc.Header == nil {
		return ledger.Answer{}, &ledger.CallError{Class: ledger.CallAmbiguous, Status: reply.Status, Detail: "the answer is no transaction's"}
	}
	if !doc.Succeeded {
		return ledger.Answer{Class: ledger.AnswerConflict, Status: http.StatusOK, Detail: "the key was touched since the look"}, nil
	}
	return ledger.Answer{Class: ledger.AnswerAccepted, Status: http.StatusOK}, nil
}
