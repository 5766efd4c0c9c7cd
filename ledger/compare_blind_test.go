package ledger

import "testing"

// Nothing that was compared is no sign of anything: neither that the effect is there, nor that it is undone.
func TestCompareBlind(t *testing.T) {
	for name, c := range map[string]struct {
		before, after, now string
		scope              Scope
		blind              bool
		want               Verdict
	}{
		"both empty":                        {`{}`, `{}`, `{"x":1}`, Scope{}, true, VerdictBlocked},
		"before is empty, after unknown":    {`{}`, ``, `{"x":1}`, Scope{}, true, VerdictBlocked},
		"before unknown, after is empty":    {``, `{}`, `{"x":1}`, Scope{}, true, VerdictBlocked},
		"all masked, after unknown":         {`{"s":"a"}`, ``, `{"s":"***"}`, Scope{Masked: []string{"/s"}}, true, VerdictBlocked},
		"all volatile, after unknown":       {`{"t":1}`, ``, `{"t":2}`, Scope{Volatile: []string{"/t"}}, true, VerdictBlocked},
		"masked and volatile":               {`{"s":"a","t":1}`, ``, `{"s":"***","t":2}`, Scope{Masked: []string{"/s"}, Volatile: []string{"/t"}}, true, VerdictBlocked},
		"all masked below":                  {`{"c":{"s":"a"}}`, `{"c":{"s":"b"}}`, `{"c":{"s":"***"}}`, Scope{Masked: []string{"/c/s"}}, true, VerdictBlocked},
		"all masked in a list":              {`{"c":["a"]}`, ``, `{"c":["***"]}`, Scope{Masked: []string{"/c/0"}}, true, VerdictBlocked},
		"only what is masked changed":       {`{"u":1,"s":"a"}`, `{"u":1,"s":"b"}`, `{"u":1,"s":"***"}`, Scope{Masked: []string{"/s"}}, true, VerdictBlocked},
		"masks as they were captured":       {`{"u":1,"s":"***"}`, `{"u":1,"s":"***"}`, `{"u":1,"s":"***"}`, Scope{Masked: []string{"/s"}}, true, VerdictBlocked},
		"a mask that is not owned":          {`{"u":1,"s":"a"}`, `{"u":1,"s":"b"}`, `{"u":1,"s":"***"}`, Scope{Owned: []string{"/u"}, Masked: []string{"/s"}}, false, VerdictAlreadyGone},
		"only what is volatile changed":     {`{"u":1,"t":1}`, `{"u":1,"t":2}`, `{"u":1,"t":3}`, Scope{Volatile: []string{"/t"}}, false, VerdictAlreadyGone},
		"something besides, before":         {`{"u":1,"s":"a"}`, ``, `{"u":1,"s":"***"}`, Scope{Masked: []string{"/s"}}, false, VerdictAlreadyGone},
		"something besides, neither":        {`{"u":1,"s":"a"}`, ``, `{"u":2,"s":"***"}`, Scope{Masked: []string{"/s"}}, false, VerdictInDoubt},
		"a member that one image has":       {`{}`, `{"c":{"s":"a"}}`, `{"c":{"s":"***"}}`, Scope{Masked: []string{"/c/s"}}, false, VerdictUndo},
		"that member gone":                  {`{}`, `{"c":{"s":"a"}}`, `{}`, Scope{Masked: []string{"/c/s"}}, false, VerdictAlreadyGone},
		"an empty value is a value":         {`{"c":{}}`, `{"c":{"a":1}}`, `{"c":{}}`, Scope{}, false, VerdictAlreadyGone},
		"created, and there":                {`null`, `{}`, `{"x":1}`, Scope{}, false, VerdictUndo},
		"deleted, and there again":          {`{"s":"a"}`, `null`, `{"s":"***"}`, Scope{Masked: []string{"/s"}}, false, VerdictAlreadyGone},
		"empty before, and it is not there": {`{}`, ``, `null`, Scope{}, false, VerdictDrifted},
		"neither image known":               {``, ``, `{"x":1}`, Scope{}, false, VerdictInDoubt},
	} {
		got := Compare(img(c.before), img(c.after), img(c.now), c.scope)
		if got.Blind != c.blind || got.Blind && (got.Before || got.After) {
			t.Errorf("%s: %+v, want blind %v", name, got, c.blind)
		}
		e := entryWith(func(e *Entry) { e.Before, e.After = img(c.before), img(c.after) })
		j := Judge(e, Look{Known: true, Now: img(c.now), Proven: true, Scope: c.scope})
		if j.Verdict != c.want {
			t.Errorf("%s: %s (%s), want %s", name, j.Verdict, j.Detail, c.want)
		}
	}
}

// An entry whose before-image says nothing is no baseline at which another one is at home, and explains nothing.
func TestBlindBaseline(t *testing.T) {
	first := on(1, `{}`, ``, EntryUndone)
	middle := on(2, `{"v":2}`, `{"v":3}`, EntryApplied)
	late := on(3, `{"v":3}`, `{"v":4}`, EntryUndone)
	late.Late = true
	if _, home := effective(&middle, []Entry{first, middle, late}); home(Look{Known: true, Now: img(`{"v":7}`)}) {
		t.Error("at home at a baseline that says nothing")
	}
	judged := on(2, `{"v":2}`, `{"v":3}`, EntryVoid)
	if explained(&judged, []Entry{first, judged}, Look{Known: true, Now: img(`{"v":3}`)}) {
		t.Error("an effect that turned up is explained by a baseline that says nothing")
	}
}
