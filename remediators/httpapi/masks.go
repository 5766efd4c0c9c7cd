package httpapi

import (
	"encoding/json"
	"slices"

	"sideledger/ledger"
	"sideledger/remediators"
)

// mergeTypes are content types under which a member that is not sent stays as it is (RFC 7396, RFC 6902).
var mergeTypes = []string{"application/merge-patch+json", "application/json-patch+json"}

// sight is what is known of a resource when an undo is built.
type sight struct{ before, after, now ledger.Image }

// checkMasks keeps the rule that a masked value is never written back and never silently left out. The
// error is a [ledger.CallError] of class CallDenied that names the place, "secret_missing: /pointer".
//
// A call without a body writes nothing. With one, no string of it may be a mask; and a masked pointer
// of which a mask is seen (before, after or now) has to stand in the body with a real value. A pointer
// that the entry itself declares has to stand in a PUT even if no mask was seen, since a PUT replaces the
// whole document. Merge patches leave alone what they do not name, and so do calls that say they are partial.
func (rec *recipe) checkMasks(declared []string, sent json.RawMessage, seen sight) error {
	if len(sent) == 0 {
		return nil
	}
	if where, found := remediators.FindMask(sent, ""); found {
		return denied("secret_missing: " + where)
	}
	if rec.undo.merges() {
		return nil
	}
	for _, pointer := range rec.scope.Masked {
		tokens, ok := parsePointer(pointer)
		if !ok {
			continue
		}
		if rec.names(sent, tokens) {
			continue // not a mask: FindMask has seen it
		}
		must := rec.undo.method == "PUT" && slices.Contains(declared, pointer)
		if must || seen.masks(tokens) {
			return denied("secret_missing: " + pointer)
		}
	}
	return nil
}

// merges reports whether what the body does not name stays as it is.
func (u *undoing) merges() bool {
	return u.partial || slices.Contains(mergeTypes, mediaType(u.contentType))
}

// names reports whether a body has something at a place of the resource.
func (rec *recipe) names(sent json.RawMessage, tokens []string) bool {
	_, there := at(sent, tokens)
	if !there && rec.read != nil {
		_, there = at(sent, append(slices.Clone(rec.read.selected), tokens...))
	}
	return there
}

// masks reports whether any image shows a mask at the place.
func (s sight) masks(tokens []string) bool {
	for _, i := range []ledger.Image{s.before, s.after, s.now} {
		if v, ok := at(i.JSON, tokens); ok {
			if str, isText := text(v); isText && remediators.IsMask(str) {
				return true
			}
		}
	}
	return false
}

func denied(why string) error { return &ledger.CallError{Class: ledger.CallDenied, Detail: why} }
