package unleash

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest"
)

// What nobody recorded at a real Unleash: toggles over more than one page, old ones that were switched since, addons.
func TestUnrecorded(t *testing.T) {
	for _, kind := range []string{KindAddon, KindFlag, KindToggle} {
		remediatortest.Proves(t, kind, "listed")
	}
	b := start(t)
	b.captured("", b.on)
	recorded := b.addon(addonDoc(b.feature, hookURL, "s"))
	b.Record(onAddon(ledger.ActionCreate, recorded, "null", addonDoc(b.feature, hookURL, "s")))
	foreign := b.addon(addonDoc(b.feature+" foreign", hookURL, "s"))
	for i := range searchPage {
		b.Must("POST", "/projects/default/features", fmt.Sprintf(`{"name":"%s-%d","type":"release"}`, b.feature, i))
	}
	found, err := b.Ledger.Unrecorded(t.Context(), ledger.UnrecordedRequest{WindowID: b.ID})
	if err != nil {
		t.Fatal(err)
	}
	signs := map[string]ledger.ForeignSign{}
	for _, f := range found.Items {
		signs[string(f.Resource)] = f.Sign
	}
	at := func(feature string) string {
		raw, err := json.Marshal(place{"default", feature, "development"})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for i := range searchPage {
		if s := signs[at(fmt.Sprintf("%s-%d", b.feature, i))]; s != ledger.ForeignCreated {
			t.Errorf("feature %d is shown as %q", i, s)
		}
	}
	if signs[at(b.feature)] != "" || signs[string(addonName(recorded))] != "" || signs[string(addonName(foreign))] != ledger.ForeignCreated {
		t.Errorf("%v", signs)
	}
	for _, l := range found.Lists {
		if l.Part || l.Why != "" || l.Kind == KindToggle && string(l.Place) != `{"project":"default"}` {
			t.Errorf("%+v", l)
		}
	}
	rem := setup.At(b.url).Bind(t)
	list, err := rem.(ledger.Lister).List(t.Context(), KindToggle, nil) // of all projects
	if err != nil {
		t.Fatal(err)
	}
	flags, err := rem.(ledger.Lister).List(t.Context(), KindFlag, b.flag())
	if err != nil || flags.Part || !slices.ContainsFunc(flags.Items, func(l ledger.Listed) bool { return string(l.Resource) == string(b.flag()) && !l.Created.IsZero() }) {
		t.Errorf("flags: %d, %v", len(flags.Items), err)
	}
	for _, l := range list.Items {
		if string(l.Resource) == at(b.feature) && (l.Changed.Before(l.Created) || l.Created.IsZero()) {
			t.Errorf("switched at %s, made at %s", l.Changed, l.Created)
		}
	}
}
